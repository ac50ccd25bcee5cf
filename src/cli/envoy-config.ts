import type { Command } from "commander";
import { loadFiles } from "../config/files.ts";
import { formatProblem } from "../config/problem.ts";
import { resolveEgress } from "../config/resolve.ts";
import { createDraining } from "../envoy/draining.ts";
import { writeDynamicFiles, writeFileOf, writeStaticFiles } from "../envoy/files.ts";
import { Eg46Error } from "../errors.ts";
import { desireForEnvoy } from "../gateway/desired-envoy.ts";
import { envoyState } from "../netd/envoy-state.ts";
import { sysctlText } from "../netd/sysctl-text.ts";
import { addEnvoyFileOptions, type EnvoyFlags, envoyOptions } from "./envoy-options.ts";
import { internalNets } from "./network-options.ts";
import { print } from "./output.ts";

interface Flags extends Omit<EnvoyFlags, "dataPlane" | "envoyDir"> {
  readonly file: string[];
  readonly out: string;
  readonly internal: string[];
  readonly internalNet: string[];
  readonly external: string[];
}

const help = `
Writes envoy.yaml (bootstrap), clusters.yaml and listeners.yaml (which Envoy follows), filter.wasm,
redirect.nft (for 'nft -f'), routes4 and routes6 (for 'ip -4 -batch', 'ip -6 -batch') and sysctl.conf. Mappings and DNS come from a gateway all the same:
'egress46 run --data-plane envoy --envoy-dir DIR' writes the same files, keeps them current, and does all of it.`;

export function registerEnvoyConfig(program: Command): void {
  const command = program
    .command("envoy-config")
    .description("write the files for an Envoy that carries the Pods' traffic")
    .requiredOption("-f, --file <path...>", "CRs: YAML files, or directories of them")
    .requiredOption("--out <dir>", "where to write")
    .requiredOption("--internal <interface...>", "where Pods' traffic comes in")
    .requiredOption("--internal-net <cidr...>", "Pods' sources")
    .requiredOption("--external <interface...>", "the way out");
  addEnvoyFileOptions(command)
    .addHelpText("after", help)
    .action(async (flags: Flags) => {
      const { resources, problems } = await loadFiles(flags.file);
      const errors = problems.filter(({ level }) => level === "error").map(formatProblem);
      if (errors.length > 0)
        throw new Eg46Error("EG46_CONFIG_INVALID", `the configuration has errors\n${errors.join("\n")}`);
      const resolution = resolveEgress(resources);
      if (resolution.state !== "active")
        throw new Eg46Error(
          "EG46_CONFIG_INVALID",
          resolution.state === "waiting" ? resolution.reason : "there is no F5SPKEgress",
        );
      const nets = internalNets(flags.internalNet);
      const facts = { internalNets: nets, external: [], defaultSources: [] };
      const { plan, warnings } = desireForEnvoy(resolution.egress, facts, createDraining());
      const options = envoyOptions(flags, flags.out);
      const host = {
        ...{ internal: flags.internal, external: flags.external, internalNets: nets },
        ...{ tuns: [], connected: [], ipv6: true, envoy: options },
      };
      const state = envoyState(host, options, plan);
      writeStaticFiles(options);
      writeDynamicFiles(options, plan.envoy?.sources ?? [], nets);
      writeFileOf(options, "redirect.nft", state.nft);
      writeFileOf(options, "sysctl.conf", sysctlText(state.sysctls));
      for (const family of [4, 6] as const) {
        const lines = state.items.filter((item) => item.family === family);
        writeFileOf(
          options,
          `routes${family}`,
          lines.map(({ kind, text }) => `${kind} ${kind === "rule" ? "add" : "replace"} ${text}\n`).join(""),
        );
      }
      for (const warning of warnings) process.stderr.write(`${warning}\n`);
      print(`wrote ${options.dir}; start Envoy with: envoy -c ${options.dir}/envoy.yaml`);
    });
}
