/** Bytes read in one turn over all connections, about; a turn that takes them in takes some ten milliseconds. */
const TURN_BYTES = 8 * 1024 * 1024
/** A connection may read at least so much per turn: one full read. */
const MIN_TURN_BYTES = 256 * 1024

/**
 * How much one connection may read in a turn of the loop. Without it a socket whose peer sends faster than we read is read up to 32
 * times in a row, 8 MiB, and everybody else waits, once for each such peer. The share follows from how many had something to say in
 * the turn before.
 */
export class FairReads {
  /** Of the turn that runs. A connection that knows another number has read nothing in it. */
  turnNumber = 0
  #readerCount = 0
  /** What each may read in this turn. */
  allowanceBytes = TURN_BYTES

  /** A connection reads for the first time in this turn. */
  onReader(): void {
    this.#readerCount++
  }

  onTurnEnd(): void {
    this.turnNumber++
    this.allowanceBytes = Math.max(MIN_TURN_BYTES, Math.floor(TURN_BYTES / Math.max(1, this.#readerCount)))
    this.#readerCount = 0
  }
}
