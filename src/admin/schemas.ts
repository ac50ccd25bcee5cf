/** JSON schemas of the /v1 responses: what is not named here does not leave the gateway. */
const text = { type: "string" } as const;
const count = { type: "integer" } as const;
const flag = { type: "boolean" } as const;
const texts = { type: "array", items: text } as const;
const countsByName = { type: "object", additionalProperties: count } as const;

function record<P extends Record<string, unknown>>(properties: P, optional: readonly (keyof P)[] = []) {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: "object", properties, required } as const;
}

function listOf<P extends Record<string, unknown>>(name: string, properties: P) {
  return record({ [name]: { type: "array", items: record(properties) } });
}

export const virtualServersSchema = listOf("virtualServers", {
  name: text,
  totalConnections: count,
  currentConnections: count,
});

export const dropsSchema = listOf("drops", { reason: text, description: text, count });

export const storeSchema = record(
  { spec: text, credentials: flag, redisCert: text, redisKey: text, redisCa: text },
  ["redisCert", "redisKey", "redisCa"],
);

const use = record({
  counts: { type: "string", enum: ["ports", "sessions"] },
  ...{ inUse: count, allocated: count, exhausted: count },
});
export const snatPoolSchema = listOf("addresses", {
  address: text,
  ports: count,
  tcp: use,
  udp: use,
  icmp: use,
});

const upstream = record(
  {
    ...{ address: text, transport: text, healthy: flag, problem: text },
    ...{ questions: count, answered: count, refused: count, silent: count },
    latencyMs: record({ p50: { type: "number" }, p99: { type: "number" } }),
  },
  ["problem", "latencyMs"],
);

const health = record({ ok: flag, reasons: texts });

export const statusSchema = record(
  {
    version: text,
    state: { type: "string", enum: ["active", "waiting", "none", "invalid"] },
    reason: text,
    notes: texts,
    problems: texts,
    egress: text,
    workers: count,
    startedAt: text,
    uptimeSeconds: count,
    health,
    store: record({ name: text, connected: flag, problem: text }, ["problem"]),
    mappings: record(
      {
        ...{ known: count, malformed: count, poolSize: count, poolUsed: count },
        ...{ poolGrowth: { type: "number" }, poolExhaustedInS: count },
      },
      ["poolGrowth", "poolExhaustedInS"],
    ),
    sessions: count,
    maxSessions: count,
    dns: record({
      ...{ questions: count, synthesized: count, responses: countsByName, failures: countsByName },
      upstreams: { type: "array", items: upstream },
    }),
  },
  ["reason", "egress"],
);

export const errorSchema = record({ code: text, message: text, remedy: text });

export const healthySchema = record({ status: text });
export const unhealthySchema = record({ status: text, reasons: texts });
