import { Eg46Error, type ErrorCode, errorCatalog } from "../errors.ts";
import type { ErrorBody } from "./api.ts";

const statusOf: Partial<Record<ErrorCode, number>> = {
  EG46_ADMIN_REQUEST: 404,
  EG46_ADMIN_BUSY: 503,
  EG46_STORE_UNAVAILABLE: 503,
};

/** Anything thrown while a request was served → HTTP status and JSON body. */
export function errorResponse(error: unknown): { readonly status: number; readonly body: ErrorBody } {
  if (error instanceof Eg46Error) return response(statusOf[error.code] ?? 500, error.code, error.message);
  const { statusCode, message } = error as { statusCode?: number; message?: string };
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return response(statusCode, "EG46_ADMIN_REQUEST", message ?? "the request is malformed");
  return response(500, "EG46_INTERNAL", message ?? String(error));
}

function response(status: number, code: ErrorCode, message: string) {
  return { status, body: { code, message, remedy: errorCatalog[code].remedy } };
}
