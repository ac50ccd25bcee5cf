import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics } from "../../../src/admin/metrics.ts";
import { version } from "../../../src/version.ts";
import { sampleView } from "./sample-view.ts";

function samples(text: string): string[] {
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

test("metrics: every family reads the view", async () => {
  assert.deepEqual(samples(await createMetrics(sampleView()).metrics()), [
    'egress46_dns_request_duration_seconds_bucket{le="0.001"} 7',
    'egress46_dns_request_duration_seconds_bucket{le="0.5"} 11',
    'egress46_dns_request_duration_seconds_bucket{le="+Inf"} 12',
    "egress46_dns_request_duration_seconds_sum 1.5",
    "egress46_dns_request_duration_seconds_count 12",
    'egress46_drops_total{reason="ttl-expired"} 2',
    'egress46_drops_total{reason="no-snat"} 0',
    'egress46_drops_total{reason="bad-checksum"} 7',
    'egress46_connections_total{virtual_server="egress-ipv4-nat46"} 19',
    'egress46_connections_total{virtual_server="egress-dns-ipv4"} 12',
    'egress46_connections{virtual_server="egress-ipv4-nat46"} 4',
    'egress46_connections{virtual_server="egress-dns-ipv4"} 0',
    'egress46_packets_total{direction="out"} 5',
    'egress46_packets_total{direction="in"} 3',
    'egress46_bytes_total{direction="out"} 700',
    'egress46_bytes_total{direction="in"} 300',
    "egress46_sessions 4",
    "egress46_sessions_max 1000",
    'egress46_snat_ports{address="2001:db8:5::9"} 64512',
    'egress46_snat_in_use{address="2001:db8:5::9",protocol="tcp",counts="sessions"} 3',
    'egress46_snat_in_use{address="2001:db8:5::9",protocol="udp",counts="ports"} 32256',
    'egress46_snat_in_use{address="2001:db8:5::9",protocol="icmp",counts="ports"} 0',
    'egress46_snat_allocations_total{address="2001:db8:5::9",protocol="tcp"} 30',
    'egress46_snat_allocations_total{address="2001:db8:5::9",protocol="udp"} 40000',
    'egress46_snat_allocations_total{address="2001:db8:5::9",protocol="icmp"} 7',
    'egress46_snat_exhausted_total{address="2001:db8:5::9",protocol="tcp"} 0',
    'egress46_snat_exhausted_total{address="2001:db8:5::9",protocol="udp"} 2',
    'egress46_snat_exhausted_total{address="2001:db8:5::9",protocol="icmp"} 1',
    "egress46_mappings 6",
    "egress46_mappings_malformed 1",
    "egress46_mapping_conflicts_total 2",
    "egress46_dns46_pool_size 254",
    "egress46_dns46_pool_used 5",
    "egress46_store_connected 1",
    "egress46_store_writable 1",
    'egress46_dns_requests_total{type="A",proto="udp"} 11',
    'egress46_dns_requests_total{type="other",proto="tcp"} 1',
    'egress46_dns_responses_total{rcode="NOERROR",source="synthesized"} 6',
    'egress46_dns_responses_total{rcode="NOERROR",source="upstream"} 4',
    'egress46_dns_responses_total{rcode="NXDOMAIN",source="upstream"} 2',
    "egress46_dns_synthesized_total 6",
    'egress46_dns_failures_total{reason="timeout"} 1',
    'egress46_dns_cache_hits_total{cache="worker",type="A"} 5',
    'egress46_dns_cache_hits_total{cache="worker",type="AAAA"} 2',
    'egress46_dns_cache_hits_total{cache="worker",type="PTR"} 0',
    'egress46_dns_cache_hits_total{cache="worker",type="SRV"} 0',
    'egress46_dns_cache_hits_total{cache="worker",type="TXT"} 0',
    'egress46_dns_cache_hits_total{cache="worker",type="MX"} 0',
    'egress46_dns_cache_hits_total{cache="worker",type="HTTPS"} 0',
    'egress46_dns_cache_hits_total{cache="worker",type="other"} 0',
    'egress46_dns_cache_hits_total{cache="gateway",type="A"} 5',
    'egress46_dns_cache_hits_total{cache="gateway",type="AAAA"} 2',
    'egress46_dns_cache_hits_total{cache="gateway",type="PTR"} 0',
    'egress46_dns_cache_hits_total{cache="gateway",type="SRV"} 0',
    'egress46_dns_cache_hits_total{cache="gateway",type="TXT"} 0',
    'egress46_dns_cache_hits_total{cache="gateway",type="MX"} 0',
    'egress46_dns_cache_hits_total{cache="gateway",type="HTTPS"} 0',
    'egress46_dns_cache_hits_total{cache="gateway",type="other"} 0',
    'egress46_dns_cache_misses_total{cache="worker"} 2',
    'egress46_dns_cache_misses_total{cache="gateway"} 2',
    'egress46_dns_cache_entries{cache="worker"} 2',
    'egress46_dns_cache_entries{cache="gateway"} 2',
    'egress46_dns_cache_evictions_total{cache="worker"} 1',
    'egress46_dns_cache_evictions_total{cache="gateway"} 1',
    'egress46_dns_cache_prefetches_total{cache="worker"} 1',
    'egress46_dns_cache_prefetches_total{cache="gateway"} 1',
    'egress46_dns_cache_stale_total{cache="worker"} 0',
    'egress46_dns_cache_stale_total{cache="gateway"} 3',
    'egress46_dns_upstream_questions_total{upstream="192.0.2.53"} 20',
    'egress46_dns_upstream_questions_total{upstream="2001:db8::53"} 3',
    'egress46_dns_upstream_results_total{upstream="192.0.2.53",result="answered"} 17',
    'egress46_dns_upstream_results_total{upstream="192.0.2.53",result="refused"} 1',
    'egress46_dns_upstream_results_total{upstream="192.0.2.53",result="silent"} 2',
    'egress46_dns_upstream_results_total{upstream="2001:db8::53",result="answered"} 0',
    'egress46_dns_upstream_results_total{upstream="2001:db8::53",result="refused"} 0',
    'egress46_dns_upstream_results_total{upstream="2001:db8::53",result="silent"} 3',
    'egress46_dns_upstream_healthy{upstream="192.0.2.53"} 1',
    'egress46_dns_upstream_healthy{upstream="2001:db8::53"} 0',
    'egress46_dns_upstream_latency_seconds{upstream="192.0.2.53",quantile="0.5"} 0.0025',
    'egress46_dns_upstream_latency_seconds{upstream="192.0.2.53",quantile="0.99"} 0.04',
    "egress46_start_time_seconds 1767323045",
    `egress46_build_info{version="${version}",node="${process.version}"} 1`,
  ]);
});

test("metrics: a second scrape shows the view as it is then, without what is gone", async () => {
  let drops = [{ reason: "a", description: "", count: 5 }];
  const metrics = createMetrics(sampleView({ drops: () => drops }));
  await metrics.metrics();
  drops = [{ reason: "b", description: "", count: 6 }];
  const found = samples(await metrics.metrics()).filter((line) => line.startsWith("egress46_drops_total"));
  assert.deepEqual(found, ['egress46_drops_total{reason="b"} 6']);
});

test("metrics: two registries in one process do not meet", async () => {
  const one = createMetrics(sampleView({ sessions: () => 1 }));
  const two = createMetrics(sampleView({ sessions: () => 2 }));
  assert.match(await one.metrics(), /^egress46_sessions 1$/m);
  assert.match(await two.metrics(), /^egress46_sessions 2$/m);
});
