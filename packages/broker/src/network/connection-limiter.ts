import type { Clock } from '@millrace/base'

/** How many clients may be connected. Read for each new connection, since the settings change at run time. */
export interface ConnectionLimits {
  readonly maxConnections: number
  readonly maxConnectionsPerIp: number
  /** Limits of single addresses, in place of `maxConnectionsPerIp`. */
  readonly maxConnectionsByAddress: ReadonlyMap<string, number>
  /** New connections within one second; more are closed at once. */
  readonly maxConnectionsPerSecond: number
  /** How many the files that are open, and those to come, leave of the process's descriptors. */
  readonly maxByDescriptors: number
}

/** Counts the live connections, in all and by address, and says no at the limits. */
export class ConnectionLimiter {
  readonly #clock: Clock
  readonly #limits: () => ConnectionLimits
  readonly #byAddress = new Map<string, number>()
  #count = 0
  #secondStartMs = Number.NEGATIVE_INFINITY
  #countInSecond = 0

  constructor(clock: Clock, limits: () => ConnectionLimits) {
    this.#clock = clock
    this.#limits = limits
  }

  get count(): number {
    return this.#count
  }

  /** Null: the connection counts until `release`. Otherwise the setting that refuses it. */
  reserve(address: string): string | null {
    const limits = this.#limits()
    const ofAddress = this.#byAddress.get(address) ?? 0
    if (this.#count >= limits.maxConnections) return 'max.connections'
    // A log that cannot open its next file fails: clients must not take the last descriptor.
    if (this.#count >= limits.maxByDescriptors) return 'open files of the process (ulimit -n)'
    const ofAddressMax = limits.maxConnectionsByAddress.get(address)
    if (ofAddress >= (ofAddressMax ?? limits.maxConnectionsPerIp)) {
      return ofAddressMax === undefined ? 'max.connections.per.ip' : 'max.connections.per.ip.overrides'
    }
    if (!this.#mayCreate(limits.maxConnectionsPerSecond)) return 'max.connection.creation.rate'
    this.#count++
    this.#byAddress.set(address, ofAddress + 1)
    return null
  }

  release(address: string): void {
    this.#count--
    const left = (this.#byAddress.get(address) ?? 1) - 1
    if (left <= 0) this.#byAddress.delete(address)
    else this.#byAddress.set(address, left)
  }

  #mayCreate(perSecond: number): boolean {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#secondStartMs >= 1000) {
      this.#secondStartMs = nowMs
      this.#countInSecond = 0
    }
    if (this.#countInSecond >= perSecond) return false
    this.#countInSecond++
    return true
  }
}
