import type { AddressInfo } from "node:net";
import { type FastifyReply, fastify } from "fastify";
import { Eg46Error } from "../errors.ts";
import type { Logger } from "../log.ts";
import { version } from "../version.ts";
import type {
  DigBody,
  DropsBody,
  SessionsBody,
  SnatPoolBody,
  StatusBody,
  StoreBody,
  VirtualServersBody,
} from "./api.ts";
import { digQuery } from "./dig-query.ts";
import { errorResponse } from "./errors.ts";
import { formatListenAddress, parseListenAddress } from "./listen-address.ts";
import { mappingStream } from "./mapping-stream.ts";
import { createMetrics } from "./metrics.ts";
import {
  dropsSchema,
  errorSchema,
  healthySchema,
  snatPoolSchema,
  statusSchema,
  storeSchema,
  unhealthySchema,
  virtualServersSchema,
} from "./schemas.ts";
import { sessionLines } from "./session-lines.ts";
import { sessionQuery } from "./session-query.ts";
import type { GatewayView } from "./view.ts";

export interface Admin {
  /** Where it listens, `host:port`; with port 0 asked for, the port that was given. */
  readonly address: string;
  /** Ends at once, cutting keep-alive connections and requests under way. */
  close(): Promise<void>;
}

/**
 * The admin API: /healthz, /metrics and /v1/…, all of them read-only, but that /v1/dig makes the mappings that a Pod's
 * question would make.
 * Rejects with EG46_USAGE when `listen` is not `host:port`, EG46_ADMIN_LISTEN when it cannot be listened on.
 */
export async function createAdmin(
  view: GatewayView,
  options: { readonly listen: string; readonly log: Logger },
): Promise<Admin> {
  const { listen, log } = options;
  const wanted = parseListenAddress(listen);

  function sendError(error: unknown, reply: FastifyReply): void {
    const { status, body } = errorResponse(error);
    if (status >= 500) log.error({ err: error, url: reply.request.url }, "admin request failed");
    reply.code(status).send(body);
  }

  const app = fastify({
    logger: false,
    // An idle scraper would otherwise hold a shutdown up for as long as it keeps its connection.
    forceCloseConnections: true,
    frameworkErrors: (error, _request, reply) => sendError(error, reply as FastifyReply),
  });
  app.setErrorHandler((error, _request, reply) => sendError(error, reply));
  app.setNotFoundHandler((request, reply) =>
    sendError(
      new Eg46Error("EG46_ADMIN_REQUEST", `no such resource: ${request.method} ${request.url}`),
      reply,
    ),
  );

  const answers = (schema: object) => ({
    schema: { response: { 200: schema, "4xx": errorSchema, "5xx": errorSchema } },
  });

  app.get(
    "/healthz",
    { schema: { response: { 200: healthySchema, 503: unhealthySchema, 500: errorSchema } } },
    (_request, reply) => {
      const { ok, reasons } = view.health();
      return ok ? reply.send({ status: "ok" }) : reply.code(503).send({ status: "unavailable", reasons });
    },
  );

  const metrics = createMetrics(view);
  app.get("/metrics", async (_request, reply) => {
    const text = await metrics.metrics();
    return reply.type(metrics.contentType).send(text);
  });

  app.get("/v1/virtual-servers", answers(virtualServersSchema), (): VirtualServersBody => {
    return { virtualServers: view.virtualServers() };
  });
  app.get("/v1/drops", answers(dropsSchema), (): DropsBody => ({ drops: view.drops() }));
  app.get("/v1/status", answers(statusSchema), () => statusBody(view));
  app.get("/v1/store", answers(storeSchema), (): StoreBody => view.store());
  app.get("/v1/snat-pool", answers(snatPoolSchema), (): SnatPoolBody => ({ addresses: view.snatPool() }));
  app.get("/v1/dig", (request): Promise<DigBody> => view.dig(digQuery(request.query)));
  app.get("/v1/sessions", (request): Promise<SessionsBody> => view.sessionPage(sessionQuery(request.query)));
  app.get("/v1/sessions/stream", (request, reply) => {
    const { pod } = sessionQuery(request.query, ["pod"]);
    const left = new AbortController();
    // Not the body's end: while nothing changes, it would wait for the next change.
    reply.raw.once("close", () => left.abort());
    const body = sessionLines(view.watchSessions(pod, left.signal));
    return reply.type("application/x-ndjson; charset=utf-8").send(body);
  });
  app.get("/v1/mappings", async (_request, reply) => {
    const body = await mappingStream(view.listMappings());
    body.on("error", (error) => log.error({ err: error }, "listing the mappings broke off"));
    return reply.type("application/json; charset=utf-8").send(body);
  });

  try {
    await app.listen(wanted);
  } catch (error) {
    await app.close();
    throw new Eg46Error("EG46_ADMIN_LISTEN", `cannot listen on ${listen}: ${why(error)}`, { cause: error });
  }
  const bound = app.server.address() as AddressInfo;
  return {
    address: formatListenAddress({ host: wanted.host, port: bound.port }),
    close: () => app.close(),
  };
}

function statusBody(view: GatewayView): StatusBody {
  const status = view.status();
  const { store, storeConnected, storeProblem, known, malformed, ...pool } = view.mappings();
  const { poolSize, poolUsed, poolGrowth, poolExhaustedInS } = pool;
  return {
    version,
    ...status,
    uptimeSeconds: Math.max(0, Math.floor((Date.now() - Date.parse(status.startedAt)) / 1000)),
    health: view.health(),
    store: {
      name: store,
      connected: storeConnected,
      ...(storeProblem !== undefined && { problem: storeProblem }),
    },
    mappings: { known, malformed, poolSize, poolUsed, poolGrowth, poolExhaustedInS },
    sessions: view.sessions(),
    maxSessions: view.maxSessions(),
    dns: view.dns(),
  };
}

function why(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "EADDRINUSE") return "another process listens there already";
  if (code === "EADDRNOTAVAIL") return "no interface has this address";
  if (code === "EACCES") return "a port below 1024 needs the privilege to bind it";
  return message;
}
