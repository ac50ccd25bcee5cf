/*
 * Stateless translation 4↔6 in the kernel, as a classifier at ingress (tc-bpf(8), direct action): the least that a
 * translator in eBPF does. Pods are NET96 with their IPv4 address behind it (RFC 6052), the one host is HOST4 ↔ HOST6: no
 * sessions, no ports, no look-up. TCP, UDP and echo; whatever else goes on untouched. What comes out the kernel
 * forwards. HOST4, HOST6, NET96 (words as they stand in memory) come with the command line.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define ETHERNET 14
#define SWAP(word) __builtin_bswap16(word)

static long (*change_proto)(struct __sk_buff *, __u16, __u64) = (void *)BPF_FUNC_skb_change_proto;
static long (*store_bytes)(struct __sk_buff *, __u32, const void *, __u32, __u64) = (void *)BPF_FUNC_skb_store_bytes;
static long (*l4_replace)(struct __sk_buff *, __u32, __u64, __u64, __u64) = (void *)BPF_FUNC_l4_csum_replace;
static __s64 (*sum_diff)(const void *, __u32, const void *, __u32, __u32) = (void *)BPF_FUNC_csum_diff;

struct ipv4 {
  __u8 version_ihl, tos;
  __u16 total, id, flags;
  __u8 ttl, protocol;
  __u16 checksum;
  __u32 source, destination;
};
struct ipv6 {
  __u32 class_flow;
  __u16 length;
  __u8 next, hops;
  __u32 source[4], destination[4];
};
struct pseudo {
  __u32 addresses[8], length, next;
};

/* Offset of the checksum in the transport header. */
INLINE __u32 checksum_of(__u8 protocol) { return protocol == 6 ? 16 : protocol == 17 ? 6 : 2; }

/* ICMPv4 sums no pseudo-header, ICMPv6 does; the type changes, the code is 0. `was`, `is`: type and code, wire order. */
INLINE void mend_echo(struct __sk_buff *skb, __u32 at, const struct ipv6 *six, __u16 was, __u16 is, int to6) {
  struct pseudo p = {.length = (__u32)six->length << 16, .next = (__u32)58 << 24};
  __builtin_memcpy(p.addresses, six->source, 32);
  __u32 old = was, new = is;
  __s64 sum = sum_diff(&old, 4, &new, 4, 0);
  sum = to6 ? sum_diff(0, 0, &p, sizeof p, sum) : sum_diff(&p, sizeof p, 0, 0, sum);
  store_bytes(skb, at, &is, 2, 0);
  l4_replace(skb, at + 2, 0, sum, 0);
}

SECTION("tc/46") int translate46(struct __sk_buff *skb) {
  struct ipv4 *ip = (void *)(long)skb->data + ETHERNET;
  __u16 *transport = (void *)(ip + 1);
  if (skb->protocol != SWAP(0x0800) || (void *)(transport + 1) > (void *)(long)skb->data_end) return TC_ACT_OK;
  if (ip->version_ihl != 0x45 || ip->destination != HOST4 || ip->flags & SWAP(0x3fff)) return TC_ACT_OK;
  __u8 protocol = ip->protocol;
  if (protocol != 6 && protocol != 17 && (protocol != 1 || *transport != SWAP(0x0800))) return TC_ACT_OK;
  struct ipv6 six = {
    .class_flow = __builtin_bswap32(0x60000000 | (__u32)ip->tos << 20),
    .length = SWAP(SWAP(ip->total) - 20),
    .next = protocol == 1 ? 58 : protocol,
    .hops = ip->ttl,
    .source = {NET96, ip->source},
    .destination = {HOST6},
  };
  __s64 sum = sum_diff(&ip->source, 8, six.source, 32, 0);
  if (change_proto(skb, SWAP(0x86dd), 0)) return TC_ACT_SHOT;
  __u16 ethertype = SWAP(0x86dd);
  store_bytes(skb, 12, &ethertype, 2, 0);
  store_bytes(skb, ETHERNET, &six, sizeof six, 0);
  __u32 at = ETHERNET + sizeof six;
  if (protocol == 1) mend_echo(skb, at, &six, SWAP(0x0800), SWAP(0x8000), 1);
  else l4_replace(skb, at + checksum_of(protocol), 0, sum, BPF_F_PSEUDO_HDR | (protocol == 17 ? BPF_F_MARK_MANGLED_0 : 0));
  return TC_ACT_OK;
}

SECTION("tc/64") int translate64(struct __sk_buff *skb) {
  struct ipv6 *ip = (void *)(long)skb->data + ETHERNET;
  __u16 *transport = (void *)(ip + 1);
  if (skb->protocol != SWAP(0x86dd) || (void *)(transport + 1) > (void *)(long)skb->data_end) return TC_ACT_OK;
  struct ipv6 six = *ip;
  const __u32 host[4] = {HOST6}, net[3] = {NET96};
  for (int i = 0; i < 4; i++) if (six.source[i] != host[i]) return TC_ACT_OK;
  for (int i = 0; i < 3; i++) if (six.destination[i] != net[i]) return TC_ACT_OK;
  __u8 protocol = six.next;
  if (protocol != 6 && protocol != 17 && (protocol != 58 || *transport != SWAP(0x8100))) return TC_ACT_OK;
  struct ipv4 four = {
    .version_ihl = 0x45,
    .tos = __builtin_bswap32(six.class_flow) >> 20,
    .total = SWAP(SWAP(six.length) + 20),
    .flags = SWAP(0x4000),
    .ttl = six.hops,
    .protocol = protocol == 58 ? 1 : protocol,
    .source = HOST4,
    .destination = six.destination[3],
  };
  __u32 header = sum_diff(0, 0, &four, sizeof four, 0);
  header = (header >> 16) + (header & 0xffff);
  four.checksum = ~((header >> 16) + (header & 0xffff));
  __s64 sum = sum_diff(six.source, 32, &four.source, 8, 0);
  if (change_proto(skb, SWAP(0x0800), 0)) return TC_ACT_SHOT;
  __u16 ethertype = SWAP(0x0800);
  store_bytes(skb, 12, &ethertype, 2, 0);
  store_bytes(skb, ETHERNET, &four, sizeof four, 0);
  __u32 at = ETHERNET + sizeof four;
  if (protocol == 58) mend_echo(skb, at, &six, SWAP(0x8100), 0, 0);
  else l4_replace(skb, at + checksum_of(protocol), 0, sum, BPF_F_PSEUDO_HDR | (protocol == 17 ? BPF_F_MARK_MANGLED_0 : 0));
  return TC_ACT_OK;
}

char _license[] SECTION("license") = "GPL";
