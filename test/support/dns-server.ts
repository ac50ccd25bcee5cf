/** `node dist/test/support/dns-server.js --listen ADDR --port N --zone zone.json`: the lab's DNS server for tests. */
import "../../src/lab/dns-server-main.ts";
