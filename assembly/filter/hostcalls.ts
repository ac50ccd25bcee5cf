/**
 * proxy-wasm ABI 0.2.1, as far as this filter uses it
 * (https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1). Every call returns a status; 0 = done.
 */

/** Status. */
export const OK: u32 = 0;

/** Stream that proxy_continue_stream and proxy_close_stream mean. */
export const DOWNSTREAM: u32 = 2;

/** Answers of proxy_on_new_connection. */
export const CONTINUE: u32 = 0;
export const STOP: u32 = 1;

export enum LogLevel {
  TRACE,
  DEBUG,
  INFO,
  WARN,
  ERROR,
}

/** What proxy_get_buffer_bytes reads. */
export enum Buffer {
  HTTP_CALL_RESPONSE_BODY = 4,
  PLUGIN_CONFIGURATION = 7,
}

/** What proxy_get_header_map_value reads. */
export const HTTP_CALL_RESPONSE_HEADERS: u32 = 6;

export const COUNTER: u32 = 0;

// @ts-ignore: decorator
@external("env", "proxy_log")
export declare function proxyLog(level: u32, text: usize, size: usize): u32;

// @ts-ignore: decorator
@external("env", "proxy_get_property")
export declare function getProperty(path: usize, pathSize: usize, result: usize, resultSize: usize): u32;

// @ts-ignore: decorator
@external("env", "proxy_call_foreign_function")
export declare function callForeignFunction(
  name: usize,
  nameSize: usize,
  argument: usize,
  argumentSize: usize,
  result: usize,
  resultSize: usize,
): u32;

// @ts-ignore: decorator
@external("env", "proxy_get_buffer_bytes")
export declare function getBufferBytes(buffer: u32, start: u32, most: u32, result: usize, resultSize: usize): u32;

// @ts-ignore: decorator
@external("env", "proxy_get_header_map_value")
export declare function getHeaderMapValue(
  map: u32,
  name: usize,
  nameSize: usize,
  result: usize,
  resultSize: usize,
): u32;

// @ts-ignore: decorator
@external("env", "proxy_get_shared_data")
export declare function getSharedData(
  key: usize,
  keySize: usize,
  result: usize,
  resultSize: usize,
  version: usize,
): u32;

/** `version` 0: whatever is there is replaced. */
// @ts-ignore: decorator
@external("env", "proxy_set_shared_data")
export declare function setSharedData(key: usize, keySize: usize, value: usize, valueSize: usize, version: u32): u32;

// @ts-ignore: decorator
@external("env", "proxy_http_call")
export declare function httpCall(
  cluster: usize,
  clusterSize: usize,
  headers: usize,
  headersSize: usize,
  body: usize,
  bodySize: usize,
  trailers: usize,
  trailersSize: usize,
  timeoutMs: u32,
  token: usize,
): u32;

// @ts-ignore: decorator
@external("env", "proxy_set_effective_context")
export declare function setEffectiveContext(context: u32): u32;

// @ts-ignore: decorator
@external("env", "proxy_continue_stream")
export declare function continueStream(stream: u32): u32;

// @ts-ignore: decorator
@external("env", "proxy_close_stream")
export declare function closeStream(stream: u32): u32;

// @ts-ignore: decorator
@external("env", "proxy_set_tick_period_milliseconds")
export declare function setTickPeriod(ms: u32): u32;

// @ts-ignore: decorator
@external("env", "proxy_get_current_time_nanoseconds")
export declare function getCurrentTime(result: usize): u32;

// @ts-ignore: decorator
@external("env", "proxy_define_metric")
export declare function defineMetric(kind: u32, name: usize, nameSize: usize, id: usize): u32;

// @ts-ignore: decorator
@external("env", "proxy_increment_metric")
export declare function incrementMetric(id: u32, by: i64): u32;
