import { get } from "node:http";
import { parseListenAddress } from "../admin/listen-address.ts";

const withinMs = 900;
const most = 4 << 20;

/** Text of a path of Envoy's admin interface; what is beyond 4 MiB is left out. Rejects when there is no answer. */
export function fetchAdmin(admin: string, path: string): Promise<string> {
  const address = parseListenAddress(admin);
  return new Promise((resolve, reject) => {
    get({ ...address, path, signal: AbortSignal.timeout(withinMs) }, async (response) => {
      try {
        let text = "";
        for await (const chunk of response.setEncoding("utf8")) if (text.length < most) text += chunk;
        resolve(text);
      } catch (error) {
        reject(error);
      }
    }).on("error", reject);
  });
}
