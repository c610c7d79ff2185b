/** Stalls of the process. After one a leader may have been replaced, and must not be believed before its quorum has answered again. */
export class StallWatch {
  #count = 0
  /** Number of the stall after which the leader still has to hear from a quorum; 0: none. */
  #unconfirmed = 0

  get count(): number {
    return this.#count
  }

  get isConfirmed(): boolean {
    return this.#unconfirmed === 0
  }

  /** `confirm`: asks the quorum; null where this node does not lead. */
  onStall(confirm: (() => Promise<unknown>) | null): void {
    const stall = ++this.#count
    if (confirm === null) return
    this.#unconfirmed = stall
    // Refused, it leads no more or has stopped: nothing of it is taken for the leader's.
    const settle = (): void => {
      if (this.#unconfirmed === stall) this.#unconfirmed = 0
    }
    confirm().then(settle, settle)
  }
}
