/*
 * What engine.wasm's fast path (assembly/engine/fast-path.ts) does with a packet of a 4→6 session under way, in C: every
 * check, session by 5-tuple, RFC 7915 §4 with the checksum by difference, offload header, merging of UDP, counters. A
 * reference to measure with, not a product: what the fast path leaves to the pipeline is refused, and datagrams that could
 * be merged are only noted. compare.ts checks that its bytes are the engine's. DESCRIPTOR_* (bytes) come with the command
 * line.
 */
#include <stdint.h>
#include <string.h>
#include <time.h>

#define HEADER_WORDS 13
#define MAX_BATCH 256

typedef struct {
  uint32_t inner, seen, ports;
  uint8_t protocol, state;
  uint16_t outer_port;
  uint64_t remote[2], snat[2];
  uint32_t last_seen;
  uint16_t delta;
  uint8_t kind, hairpin;
  uint32_t next, reserved;
} session;
_Static_assert(sizeof(session) == 64, "a cache line");

typedef struct { uint32_t address, length, verdict, slot, value, reserved[3]; } output;
_Static_assert(sizeof(output) == DESCRIPTOR_SIZE, "a descriptor");

static uint8_t *memory;
static const uint8_t *ring;
static session *sessions;
static uint32_t *buckets, mask;
static uint64_t key;
static uint32_t mtu, cut;
static uint64_t pool[256][2];
static uint64_t drops, packets, bytes;
static output outputs[MAX_BATCH];
static uint32_t output_count;
static int stateless, unswept, coalesce;
static const session *run_of;
static uint32_t marks;

static inline uint64_t mix(uint64_t x) {
  x ^= key;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}
static inline uint32_t fold32(uint32_t s) {
  s = (s >> 16) + (s & 0xffff);
  return (s >> 16) + (s & 0xffff);
}
static inline uint32_t adjust(uint32_t sum, uint32_t delta) { return fold32((sum ^ 0xffff) + delta) ^ 0xffff; }
static inline uint16_t get16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return v; }
static inline uint32_t get32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static inline uint64_t get64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return v; }
static inline void put16(uint8_t *p, uint16_t v) { memcpy(p, &v, 2); }
static inline void put32(uint8_t *p, uint32_t v) { memcpy(p, &v, 4); }
static inline void put64(uint8_t *p, uint64_t v) { memcpy(p, &v, 8); }

static inline uint32_t *bucket(uint32_t inner, uint32_t seen, uint32_t ports, uint32_t protocol) {
  return buckets + (mix(((uint64_t)inner << 32 | seen) ^ mix((uint64_t)protocol << 32 | ports)) & mask);
}

static inline uint32_t pool_home(uint64_t lo, uint64_t hi) {
  return (uint32_t)(((lo ^ (hi << 23 | hi >> 41)) * 0x9e3779b97f4a7c15u) >> 56);
}
static inline int is_pool(uint64_t lo, uint64_t hi) {
  for (uint32_t i = pool_home(lo, hi); pool[i][1]; i = (i + 1) & 255)
    if (pool[i][0] == lo && pool[i][1] == hi) return 1;
  return 0;
}

static inline void send(uint32_t address, uint32_t length, uint32_t slot) {
  output *o = &outputs[output_count++];
  o->address = address;
  o->length = length;
  o->verdict = 0;
  o->slot = slot;
  o->value = 0;
}

/* 0: refused. */
static inline int translate(uint32_t address, uint32_t length, uint32_t slot, uint32_t now) {
  if (length < 12 + 28 || stateless) return 0;
  uint8_t *ip = memory + address + 12;
  length -= 12;
  if (ip[0] != 0x45) return 0;
  uint32_t total = __builtin_bswap16(get16(ip + 2)), protocol = ip[9], rest = total - 20, ttl = ip[8], tos = ip[1];
  uint8_t *transport = ip + 20;
  if (total < 28 || total > length || get16(ip + 6) & 0xff3f || ttl < 3) return 0;
  uint32_t at, ports = get32(transport);
  if (protocol == 6) {
    if (rest < 20) return 0;
    uint32_t own = (transport[12] >> 4) << 2;
    if (own < 20 || own > rest || !(transport[13] & 63) || transport[13] & 7) return 0;
    at = 16;
  } else {
    if (protocol != 17 || __builtin_bswap16(get16(transport + 4)) != rest) return 0;
    at = 6;
  }
  if (!(ports & 0xffff) || !(ports >> 16)) return 0;
  const uint8_t *vnet = ip - 12;
  uint32_t flags = vnet[0];
  int partial = flags & 1;
  if (vnet[1]) return 0;
  if (partial && (get16(vnet + 8) != at || get16(vnet + 6) != 20)) return 0;

  uint32_t inner = get32(ip + 12), seen = get32(ip + 16);
  if (is_pool(0, (uint64_t)seen << 32 | 0xffff0000u)) return 0;
  if (protocol == 17 && ports >> 16 == 0x3500) return 0;
  uint32_t next = *bucket(inner, seen, ports, protocol);
  session *s = 0;
  for (; next; next = s->next) {
    s = sessions + next;
    if (s->inner == inner && s->seen == seen && s->ports == ports && s->protocol == protocol) break;
  }
  if (!next || s->hairpin || unswept || (protocol == 6 && s->state == 5) || s->kind) return 0;
  uint32_t its = 0xffffffff;
  int dont_fragment = get16(ip + 6) & 0x40;
  if (protocol == 17 && coalesce && flags & 3) its = (uint32_t)!!dont_fragment << 16 | tos << 8 | ttl;
  if (40 + rest > (dont_fragment ? mtu : cut)) return 0;
  uint32_t sum = get16(transport + at);
  if (protocol == 17 && !sum) return 0;
  if (run_of == s && its == marks) return 0;
  uint8_t *out = transport - 40;
  if (output_count == MAX_BATCH) return 0;
  send((uint32_t)(out - 12 - memory), 52 + rest, slot);

  put32(transport, s->outer_port | (ports & 0xffff0000u));
  if (partial) put16(transport + at, fold32(sum + s->delta));
  else {
    uint32_t adjusted = adjust(sum, s->delta + s->outer_port + ((ports & 0xffff) ^ 0xffff));
    put16(transport + at, protocol == 6 || adjusted ? adjusted : 0xffff);
  }
  put32(out, __builtin_bswap32(0x60000000u | tos << 20));
  put16(out + 4, __builtin_bswap16(rest));
  out[6] = protocol;
  out[7] = ttl - 1;
  put64(out + 8, s->snat[0]);
  put64(out + 16, s->snat[1]);
  put64(out + 24, s->remote[0]);
  put64(out + 32, s->remote[1]);
  uint8_t *v = out - 12;
  put32(v, partial ? 1 : 0);
  put32(v + 4, partial ? 40 << 16 : 0);
  put32(v + 8, partial ? at : 0);
  if (its != 0xffffffff && rest != 8) {
    run_of = s;
    marks = its;
  }
  s->last_seen = now;
  packets++;
  bytes += 40 + rest;
  return 1;
}

void setup(uint64_t memory_at, uint64_t ring_at, uint64_t sessions_at, uint64_t buckets_at, uint32_t bucket_count,
           uint64_t hash_key, uint32_t outer_mtu) {
  memory = (uint8_t *)memory_at;
  ring = (uint8_t *)ring_at;
  sessions = (session *)sessions_at;
  buckets = (uint32_t *)buckets_at;
  mask = bucket_count - 1;
  key = hash_key;
  mtu = outer_mtu;
  cut = outer_mtu < 1280 ? outer_mtu : 1280;
  memset(pool, 0, sizeof pool);
}

/* Session 0 is nobody's: it marks the end of a chain. */
void add_sessions(uint32_t first, uint32_t count) {
  for (uint32_t i = first; i < first + count; i++) {
    session *s = sessions + i;
    uint32_t *b = bucket(s->inner, s->seen, s->ports, s->protocol);
    s->next = *b;
    *b = i;
  }
}

void add_pool(uint64_t lo, uint64_t hi) {
  uint32_t i = pool_home(lo, hi);
  while (pool[i][1]) i = (i + 1) & 255;
  pool[i][0] = lo;
  pool[i][1] = hi;
}

uint32_t process(uint32_t count, uint32_t now) {
  output_count = 0;
  run_of = 0;
  for (uint32_t i = 0; i < count; i++) {
    const uint8_t *d = ring + i * DESCRIPTOR_SIZE;
    if (!translate(get32(d + DESCRIPTOR_ADDRESS), get32(d + DESCRIPTOR_LENGTH), get32(d + DESCRIPTOR_SLOT), now)) drops++;
  }
  return output_count;
}

uint64_t output_at(uint32_t i) { return (uint64_t)outputs[i].address << 32 | outputs[i].length; }
uint64_t dropped(void) { return drops; }

/* ns for `count` packets out of `flows` × HEADER_WORDS words, in turn; work 0: laying them into the ring alone. */
double run(uint64_t packets_at, uint32_t flows, uint32_t batch, uint32_t count, uint32_t length, int work) {
  const uint32_t *all = (const uint32_t *)packets_at;
  uint32_t flow = 0;
  struct timespec from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  for (uint32_t done = 0; done < count; done += batch) {
    for (uint32_t i = 0; i < batch; i++) {
      uint8_t *d = (uint8_t *)ring + i * DESCRIPTOR_SIZE;
      put32(d + DESCRIPTOR_LENGTH, length);
      memcpy(memory + get32(d + DESCRIPTOR_ADDRESS), all + (size_t)flow * HEADER_WORDS, HEADER_WORDS * 4);
      if (++flow == flows) flow = 0;
    }
    if (work) process(batch, 1);
  }
  clock_gettime(CLOCK_MONOTONIC, &to);
  return (to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec);
}
