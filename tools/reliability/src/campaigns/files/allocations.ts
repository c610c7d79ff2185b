const NAMES = ['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const

/**
 * Counts the bytes that this thread asks for as buffers, also those that are garbage a moment later: what a file declares must not be
 * what is allocated. Replaces functions of `Buffer` until it is removed.
 */
export class AllocationWatch {
  #bytes = 0
  readonly #originals = NAMES.map((name) => [name, Buffer[name]] as const)

  constructor() {
    for (const [name, original] of this.#originals) {
      const counted = (sizeBytes: number, ...more: unknown[]): Buffer => {
        this.#bytes += sizeBytes
        return (original as (...given: unknown[]) => Buffer).call(Buffer, sizeBytes, ...more)
      }
      Object.assign(Buffer, { [name]: counted })
    }
  }

  /** Bytes since the last call. */
  take(): number {
    const bytes = this.#bytes
    this.#bytes = 0
    return bytes
  }

  remove(): void {
    for (const [name, original] of this.#originals) Object.assign(Buffer, { [name]: original })
  }
}
