/** What the mapping sync needs of the data plane: each promise resolves once every worker's engine has the change. */
export interface MappingSink {
  /** `nat4` in host order, `host6` 16 bytes in wire order. Replaces an earlier entry of the same address. */
  install(nat4: number, host6: Uint8Array): Promise<void>;
  remove(nat4: number): Promise<void>;
}
