/** Which ports of which pool address a Pod may have: all of its paired address (RFC 4787 REQ-2), or its block (RFC 7422). */
import { addressOfBlock, blockOf, offsetOfBlock, portBlocks } from "./port-blocks";
import { MAX_POOL_ADDRESSES, pairedAddress, poolAddress } from "./snat-pool";
import { DropReason } from "./verdict";

/** What choosePorts chose: place of the pool address, and ports in host order, inclusive. */
export let chosenPool: u32 = 0;
export let chosenFirst: u32 = 0;
export let chosenLast: u32 = 0;

export function choosePorts(family: u32, podLo: u64, podHi: u64): DropReason {
  if (portBlocks.size != 0) return chooseBlock(family, podLo, podHi);
  const paired = pairedAddress(family, podLo, podHi);
  if (paired < 0) return DropReason.SNAT_ADDRESS_MISSING;
  chosenPool = <u32>paired;
  chosenFirst = poolAddress(chosenPool).firstPort;
  chosenLast = poolAddress(chosenPool).lastPort;
  return DropReason.NONE;
}

function chooseBlock(family: u32, podLo: u64, podHi: u64): DropReason {
  if ((family == 4 ? portBlocks.count4 : portBlocks.count6) == 0) return DropReason.SNAT_ADDRESS_MISSING;
  const block = blockOf(family, podLo, podHi);
  if (block < 0) return DropReason.SNAT_BLOCK_MISSING;
  const place = addressOfBlock(family, <u32>block);
  if (place >= MAX_POOL_ADDRESSES) return DropReason.SNAT_ADDRESS_MISSING;
  chosenPool = place;
  chosenFirst = poolAddress(place).firstPort + offsetOfBlock(family, <u32>block);
  chosenLast = chosenFirst + portBlocks.size - 1;
  return DropReason.NONE;
}
