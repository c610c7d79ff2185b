import type { Clock } from '@millrace/base'
import type { ConnectionContext } from '../handlers/handler.ts'
import type { Logger } from '../logger.ts'
import { MAX_TOLD_NAME_LENGTH, OPERATION_NAMES, RESOURCE_TYPE_NAMES } from './acl-words.ts'
import type { Need } from './needs.ts'

/** The same principal, host, operation and kind of resource are told once in this time: a consumer that may not read asks ten times a second. */
const TELL_INTERVAL_MS = 60_000
const MAX_TOLD = 1_000

/** Tells of refusals, for whoever looks later into who tried what (`kafka.authorizer.logger` of Kafka). */
export class DenialLog {
  readonly #clock: Clock
  readonly #logger: Logger
  /** When what was told last, and how many were not told since. */
  readonly #told = new Map<string, { atMs: number; untold: number }>()

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  tell({ principal, clientAddress }: ConnectionContext, { operation, resourceType }: Need, name: string): void {
    const key = `${operation} ${resourceType} ${clientAddress} ${principal}`
    const nowMs = this.#clock.monotonicMs()
    const last = this.#told.get(key)
    if (last !== undefined && nowMs - last.atMs < TELL_INTERVAL_MS) {
      last.untold++
      return
    }
    if (last === undefined && this.#told.size >= MAX_TOLD) this.#told.clear()
    this.#told.set(key, { atMs: nowMs, untold: 0 })
    this.#logger.info('not authorized', {
      principal,
      clientAddress,
      operation: OPERATION_NAMES.get(operation),
      resourceType: RESOURCE_TYPE_NAMES.get(resourceType),
      resourceName: name.slice(0, MAX_TOLD_NAME_LENGTH),
      ...(last === undefined || last.untold === 0 ? {} : { alsoRefused: last.untold }),
    })
  }
}
