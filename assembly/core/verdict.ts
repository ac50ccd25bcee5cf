/**
 * What happens to a packet. A drop reason is at once the return code of the step that refused the packet, the index
 * of its counter and the label of its metric; src/engine/layout.gen.ts is generated out of this file, the text above
 * each reason is its description in `egress46 drops` and docs/errors.md.
 */
export enum Verdict {
  /** Write it to the device. */
  FORWARD = 1,
  /** A DNS question: the host answers it (address and length are those of the UDP payload). */
  DNS = 2,
  /** Nothing to write: ask the mapping store for `nat4`; a packet waits for the answer. */
  ASK_MAPPING = 3,
  /** As DNS, but the cache has answered it: the host's answer is to be stored, not sent. */
  DNS_REFRESH = 4,
}

export enum DropReason {
  /** Not a drop: the packet goes on. */
  NONE,
  /** Neither an IPv4 nor an IPv6 packet. */
  IP_VERSION_UNKNOWN,
  /** Shorter than its IP header, or than the length that the header gives. */
  IP_TRUNCATED,
  /** IPv4 header length below 20 bytes or beyond the packet. */
  IPV4_HEADER_INVALID,
  /** Wrong IPv4 header checksum. (The gateway's own kernel drops such packets; this is for captured ones.) */
  IPV4_CHECKSUM_INVALID,
  /** IPv4 source routing is not followed. */
  IPV4_SOURCE_ROUTE,
  /** Chain of IPv6 extension headers too long or beyond the packet. */
  IPV6_EXTENSION_INVALID,
  /** IPv6 routing header with segments left. */
  IPV6_ROUTING_HEADER,
  /** Fragment that no sender makes: empty, of a wrong length, beyond 65,535 bytes, or reaching into the TCP header. */
  FRAGMENT_INVALID,
  /** Fragment of a packet that can't be handled in pieces: a DNS question, an ICMP error, ICMP between IP versions. */
  FRAGMENT_UNSUPPORTED,
  /** Fragment whose first one didn't come in time. */
  FRAGMENT_TIMEOUT,
  /** Too many fragments wait for their first one: the one that has waited longest goes. */
  FRAGMENT_QUEUE_FULL,
  /** Transport protocol other than TCP, UDP and ICMP echo. */
  PROTOCOL_UNSUPPORTED,
  /** TCP segment shorter than its header, or header length below 20 bytes. */
  TCP_HEADER_INVALID,
  /** TCP flags that no connection uses: none at all, or SYN with FIN or RST. */
  TCP_FLAGS_INVALID,
  /** UDP datagram shorter than its header or with a wrong length field. */
  UDP_LENGTH_INVALID,
  /** UDP over IPv6 without a checksum. */
  UDP_CHECKSUM_MISSING,
  /** ICMP message shorter than its header. */
  ICMP_TRUNCATED,
  /** ICMP message that is neither an echo nor an error with a counterpart (RFC 7915 §4.2, §5.2). */
  ICMP_TYPE_UNSUPPORTED,
  /** ICMP error with a wrong checksum, or whose quoted packet can't be read. */
  ICMP_QUOTE_INVALID,
  /** ICMP error about a packet of no session. */
  ICMP_ERROR_NO_SESSION,
  /** Source or destination port zero. */
  PORT_ZERO,
  /** Offload combination that the device should not have sent. */
  OFFLOAD_INVALID,
  /** Source outside the internal networks. */
  SOURCE_NOT_INTERNAL,
  /** Destination is multicast, loopback, link-local or reserved. */
  DESTINATION_NOT_FORWARDABLE,
  /** Destination inside the internal networks: it needs no egress. */
  DESTINATION_INTERNAL,
  /** No egress configuration is in force. */
  EGRESS_NOT_CONFIGURED,
  /** IPv6 from a Pod while dualStackEnabled is false. */
  DUAL_STACK_DISABLED,
  /** Stateless translation: no mapping or prefix covers the source. */
  SOURCE_UNMAPPED,
  /** Stateless translation: no mapping or prefix covers the destination. */
  DESTINATION_UNMAPPED,
  /** Well-known NAT64 prefix with an IPv4 address that isn't global (RFC 6052 §3.1): those need a prefix of your own. */
  NAT64_NOT_GLOBAL,
  /** DNS46 pool address without a mapping. */
  MAPPING_UNKNOWN,
  /** DNS46 pool address: the mapping store did not answer in time. */
  MAPPING_TIMEOUT,
  /** DNS46 pool address: too many packets wait for the mapping store. */
  MAPPING_QUEUE_FULL,
  /** No SNAT address of the family that the packet needs. */
  SNAT_ADDRESS_MISSING,
  /** Every port of the Pod's SNAT address, or of its block, is in use. */
  SNAT_PORTS_EXHAUSTED,
  /** The Pod's address lies beyond the last port block that the SNAT addresses have (`--port-block`). */
  SNAT_BLOCK_MISSING,
  /** Session table full. */
  SESSION_TABLE_FULL,
  /** The Pod has as many sessions as it may have (`--pod-sessions`); of those, outsiders (`--eif`) may open three quarters. */
  POD_SESSIONS_EXCEEDED,
  /** Too many Pods for their sessions to be counted, while `--pod-sessions` limits them. */
  POD_TABLE_FULL,
  /** TCP segment from a Pod that belongs to no session and opens none. */
  TCP_NO_SESSION,
  /** From outside: belongs to no session. */
  INBOUND_NO_SESSION,
  /** From an IPv6 host to the open port of an IPv4 Pod (`--eif`): only what belongs to a session that the Pod opened gets in. */
  INBOUND_REMOTE_UNMAPPED,
  /** TTL or hop limit used up; the sender gets Time Exceeded. */
  HOP_LIMIT_EXPIRED,
  /** Larger than the next link; the sender gets Fragmentation Needed or Packet Too Big. */
  PACKET_TOO_BIG,
  /** DNS question beyond `dnsRateLimit`. */
  DNS_RATE_LIMITED,
  /** More output than the ring holds in one batch. */
  OUTPUT_FULL,
  /** The device would not take the packet. Counted by the host. */
  DEVICE_REFUSED,
}

/** Number of drop reasons. */
export const DROP_REASONS: u32 = DropReason.DEVICE_REFUSED + 1;
