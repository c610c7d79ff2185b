import { UnsupportedVersionError } from '../errors/client-errors.ts'
import type { Api } from './api.ts'

/** One API that a broker serves, both ends included. */
export interface ServedApi {
  key: number
  minVersion: number
  maxVersion: number
}

/** The level of a feature that the whole cluster has agreed on (KIP-584). */
export interface FinalizedFeature {
  name: string
  level: number
}

/** What one broker serves, learnt from ApiVersions when the connection opened. */
export class ApiVersionsTable {
  /** Finalized features as the broker knew them, and the epoch that says which of two brokers knows more; -1 if it does not tell. */
  readonly finalizedFeatures: readonly FinalizedFeature[]
  readonly finalizedFeaturesEpoch: number
  readonly #served = new Map<number, ServedApi>()

  constructor(
    served: readonly ServedApi[],
    finalizedFeatures: readonly FinalizedFeature[] = [],
    finalizedFeaturesEpoch = -1,
  ) {
    for (const api of served) this.#served.set(api.key, api)
    this.finalizedFeatures = finalizedFeatures
    this.finalizedFeaturesEpoch = finalizedFeaturesEpoch
  }

  /** The range of one API, or null if the broker does not know it. */
  range(key: number): ServedApi | null {
    return this.#served.get(key) ?? null
  }

  all(): ServedApi[] {
    return [...this.#served.values()].sort((a, b) => a.key - b.key)
  }

  /**
   * The newest version that both sides speak, at most `maxVersion`. Throws {@link UnsupportedVersionError} when there is none, or
   * none from `minVersion` on (for calls that need what a version brought).
   */
  choose(api: Api<never, unknown>, minVersion = 0, maxVersion = Number.MAX_SAFE_INTEGER): number {
    const range = this.#served.get(api.key)
    if (range === undefined) throw new UnsupportedVersionError(api.name, 'the broker does not serve this API')
    const lowest = Math.max(api.minVersion, range.minVersion, minVersion)
    const highest = Math.min(api.maxVersion, range.maxVersion, maxVersion)
    if (lowest <= highest) return highest
    throw new UnsupportedVersionError(
      api.name,
      `the broker serves versions ${range.minVersion} to ${range.maxVersion}, this call needs one of ` +
        `${Math.max(api.minVersion, minVersion)} to ${Math.min(api.maxVersion, maxVersion)}`,
    )
  }
}
