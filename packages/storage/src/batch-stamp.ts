import { setBaseOffset, setPartitionLeaderEpoch } from '@millrace/protocol'

/** Bytes that the leader stamps: base offset, length (unchanged), partition leader epoch. The checksum does not cover them. */
export const STAMPED_BYTES = 16

/** Writes what the leader assigns into the stored copy of a batch. Hot path. */
export function stampBatch(buffer: Buffer, position: number, baseOffset: number, leaderEpoch: number): void {
  setBaseOffset(buffer, position, baseOffset)
  setPartitionLeaderEpoch(buffer, position, leaderEpoch)
}
