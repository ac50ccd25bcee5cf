import { median, type Results } from "./results.ts";

/** A ratio to reach: median of `of` by median of `against`, in one series. Without `against`, the figure itself. */
export interface Goal {
  readonly title: string;
  readonly series: string;
  readonly of: string;
  readonly against?: string;
  readonly atLeast?: number;
  readonly atMost?: number;
  /** The series counts time, the goal speed: the ratio is turned round. */
  readonly inverse?: boolean;
}

export const goals: readonly Goal[] = [
  { title: "TCP ×1 against tayga", series: "tcp.out", of: "egress46", against: "tayga", atLeast: 13 },
  {
    title: "TCP ×1 reverse against tayga",
    series: "tcp.back",
    of: "egress46",
    against: "tayga",
    atLeast: 15,
  },
  {
    title: "TCP ×1 against kernel IPv6 forwarding",
    series: "tcp.out",
    of: "egress46",
    against: "kernel6",
    atLeast: 0.92,
  },
  {
    title: "TCP ×4 from four Pods, two workers, against kernel IPv6 forwarding",
    series: "tcp4",
    of: "egress46 ×2",
    against: "kernel6",
    atLeast: 0.38,
  },
  {
    title: "UDP 64 B, one flow in bursts, against tayga",
    series: "udp64.burst",
    of: "egress46",
    against: "tayga",
    atLeast: 1.5,
  },
  {
    title: "UDP 64 B, 1,000 flows interleaved, against tayga",
    series: "udp64.mixed",
    of: "egress46",
    against: "tayga",
    atLeast: 1.2,
  },
  {
    title: "gateway CPU a small packet, one flow in bursts, against tayga",
    series: "cpu.burst.gateway",
    of: "egress46",
    against: "tayga",
    atMost: 0.6,
  },
  {
    title: "gateway CPU a small packet, 1,000 flows interleaved, against tayga",
    series: "cpu.mixed.gateway",
    of: "egress46",
    against: "tayga",
    atMost: 0.6,
  },
  {
    title: "CPU a new TCP connection, both ends included, against kernel nf_nat masquerade",
    series: "connections.all",
    of: "egress46",
    against: "masquerade4",
    atMost: 2,
  },
  {
    title: "CPU that the gateway adds to a new TCP connection, against kernel nf_nat masquerade",
    series: "connections.added",
    of: "egress46",
    against: "masquerade4",
    atMost: 2,
  },
  {
    title: "Wasm translation against C -O3, UDP, 1 flow",
    series: "translate.udp.one",
    of: "wasm",
    against: "c",
    atLeast: 0.75,
    inverse: true,
  },
  {
    title: "Wasm translation against C -O3, UDP, 1,000,000 sessions",
    series: "translate.udp.million",
    of: "wasm",
    against: "c",
    atLeast: 0.75,
    inverse: true,
  },
  {
    title: "Wasm translation against C -O3, TCP, 1 flow",
    series: "translate.tcp.one",
    of: "wasm",
    against: "c",
    atLeast: 0.75,
    inverse: true,
  },
  {
    title: "Wasm translation against C -O3, TCP, 1,000,000 sessions",
    series: "translate.tcp.million",
    of: "wasm",
    against: "c",
    atLeast: 0.75,
    inverse: true,
  },
  {
    title: "UDP port allocation at 99 % of a pool's ports against 10 %",
    series: "ports.udp",
    of: "99 %",
    against: "10 %",
    atMost: 2,
  },
  {
    title: "TCP port allocation at 99 % of a pool's ports against 10 %",
    series: "ports.tcp",
    of: "99 %",
    against: "10 %",
    atMost: 2,
  },
  {
    title: "Envoy's CPU a new connection, filter against a static set_filter_state",
    series: "envoy.cpu",
    of: "filter",
    against: "static",
    atMost: 1.05,
  },
  {
    title: "Envoy's throughput, filter against a static set_filter_state",
    series: "envoy.throughput",
    of: "filter",
    against: "static",
    atLeast: 0.99,
  },
  {
    title: "ping through the gateway against kernel forwarding",
    series: "ping",
    of: "egress46",
    against: "kernel6",
    atMost: 2,
  },
  {
    title: "cached DNS answers against unbound, one thread",
    series: "dns.cached",
    of: "egress46",
    against: "unbound",
    atLeast: 1.5,
  },
  {
    title: "DNS46 of new names, Redis on loopback, k/s",
    series: "dns.cold",
    of: "egress46",
    atLeast: 5,
  },
  {
    title: "DNS46 of new names, LMDB, k/s",
    series: "dns.cold",
    of: "egress46, LMDB",
    atLeast: 15,
  },
];

export interface Outcome {
  readonly goal: Goal;
  readonly ratio: number;
  /** Of the rounds' own ratios. */
  readonly lowest: number;
  readonly highest: number;
  readonly reached: boolean;
}

/** Undefined where a contender wasn't measured. */
export function judge(goal: Goal, results: Results): Outcome | undefined {
  const samples = results.series.find(({ id }) => id === goal.series)?.samples;
  const of = samples?.[goal.of];
  const against = goal.against === undefined ? of?.map(() => 1) : samples?.[goal.against];
  if (of === undefined || against === undefined) return undefined;
  // A difference of two measurements may come out below zero: there is no ratio then.
  const divide = (a: number, b: number) => (a <= 0 || b <= 0 ? Number.NaN : goal.inverse ? b / a : a / b);
  const ratio = divide(median(of), median(against));
  const rounds = of.slice(0, against.length).map((value, round) => divide(value, against[round]!));
  const reached = ratio >= (goal.atLeast ?? -Infinity) && ratio <= (goal.atMost ?? Infinity);
  return { goal, ratio, lowest: Math.min(...rounds), highest: Math.max(...rounds), reached };
}
