import { after, before, describe, test } from "node:test";
import { needs } from "../support/exec.ts";
import { fourAsked } from "../support/four-gateways.ts";
import { redisLab, type StoreLab } from "../support/mapping-stores.ts";

describe("gateways that share a Redis which stops", needs("redis-server"), () => {
  let lab: StoreLab;
  before(async () => {
    lab = await redisLab();
  });
  after(() => lab?.stop());

  for (const [name, reserved] of Object.entries({ "a roomy pool": 0, "a pool 89 % used": 1850 }))
    test(`four, each asked for the same 2,000 hosts in its order, Redis stopped for 5 s in the middle, ${name}`, () =>
      fourAsked(lab, { subnet: "10.32.0.0/20", reserved, hosts: 2000, stopMs: 5000 }));
});
