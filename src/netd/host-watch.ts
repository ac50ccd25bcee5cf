import {
  addressOf,
  bindSocket,
  checked,
  close,
  EAGAIN,
  errno,
  O_CLOEXEC,
  O_NONBLOCK,
  read,
  socket,
} from "../dataplane/syscalls.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
/** Links, addresses, routes and rules of both families: the RTMGRP_ bits of linux/rtnetlink.h. */
const groups = 0x1 | 0x10 | 0x100 | 0x40 | 0x400 | 0x80 | 0x40000;

const listenEveryMs = 250;
/** Also without news: what somebody else did to nft or sysctls is announced nowhere. */
const lookEveryMs = 2000;
/** A host with many routes, which change all the time, keeps a look busy for long: at most this part of the time. */
const busyPart = 1 / 4;

/** Calls `look` soon after the host's network has changed, and now and then. Never twice at once. */
export function watchHost(look: () => Promise<void>): { close(): void } {
  const news = openNews();
  let looking = false;
  let changed = false;
  let notBefore = 0;
  let lookedAt = performance.now();

  async function lookNow(): Promise<void> {
    looking = true;
    changed = false;
    lookedAt = performance.now();
    try {
      await look();
    } finally {
      const now = performance.now();
      notBefore = now + (now - lookedAt) * (1 / busyPart - 1);
      looking = false;
    }
  }

  const timer = setInterval(() => {
    changed = news.any() || changed;
    const now = performance.now();
    if (looking || now < notBefore) return;
    if (changed || now - lookedAt >= lookEveryMs) void lookNow();
  }, listenEveryMs);
  return {
    close() {
      clearInterval(timer);
      news.close();
    },
  };
}

/** The kernel's announcements (rtnetlink). Only whether there are any is of interest. */
function openNews(): { any(): boolean; close(): void } {
  const fd = checked("socket", socket(AF_NETLINK, SOCK_RAW | O_NONBLOCK | O_CLOEXEC, 0));
  const address = new DataView(new ArrayBuffer(12));
  address.setUint16(0, AF_NETLINK, true);
  address.setUint32(8, groups, true);
  checked("bind", bindSocket(fd, new Uint8Array(address.buffer), address.byteLength));
  const buffer = new Uint8Array(8192);
  return {
    any() {
      for (let some = false; ; some = true)
        // Lost ones are an error of their own (ENOBUFS), and news as well.
        if (read(fd, addressOf(buffer), buffer.length) < 0) return some || errno() !== EAGAIN;
    },
    close: () => close(fd),
  };
}
