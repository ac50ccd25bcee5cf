/** The servers of the lab's internet. What to serve comes by IPC, and its end is ours: nothing outlives the lab. */
import { startDnsServer } from "./dns-server.ts";
import type { InternetEvent, InternetSpec } from "./internet.ts";
import { startWebServer } from "./web-server.ts";

const tell = (event: InternetEvent) => void process.send?.(event);

process.on("disconnect", () => process.exit());
process.once("message", async (spec: InternetSpec) => {
  try {
    for (const site of spec.web) await startWebServer(site, (visit) => tell({ type: "visit", visit }));
    for (const { address, zone } of spec.dns)
      await startDnsServer({
        address,
        port: 53,
        zone,
        onExchange: (exchange) => tell({ type: "exchange", exchange }),
      });
    tell({ type: "ready" });
  } catch (error) {
    tell({ type: "failed", reason: (error as Error).message });
  }
});
