/** `node dns-tls-server.js ADDRESS PORT CERT KEY`: the lab's zone by TLS; a line of JSON for each question. */
import { readFileSync } from "node:fs";
import { answerFromZone } from "../../src/lab/dns-zone.ts";
import { labZone } from "../../src/lab/zone.ts";
import { startScriptedUpstream } from "./scripted-upstream.ts";

const [address = "", port, cert = "", key = ""] = process.argv.slice(2);
await startScriptedUpstream({
  address,
  port: Number(port),
  tls: { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") },
  script({ query, name, connection, send }) {
    console.log(JSON.stringify({ name, length: query.length, connection }));
    for (const reply of answerFromZone(labZone, query, "tcp").replies) send(reply);
  },
});
console.log("ready");
