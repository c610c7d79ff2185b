import { createFindCoordinatorRequest, findCoordinatorApi } from '@millrace/protocol'
import { ProtocolError, throwIfError } from '../errors/protocol-error.ts'
import type { Connections } from '../network/connections.ts'

/** What a coordinator is for. */
export type CoordinatorKind = 'group' | 'transaction'

const KEY_TYPES: Readonly<Record<CoordinatorKind, number>> = { group: 0, transaction: 1 }
/** Lists of keys (KIP-699). */
const LISTS_FROM_VERSION = 4

/** Which broker coordinates a group or the transactions of an id, asked once and kept until someone finds it wrong. */
export class CoordinatorFinder {
  readonly #connections: Connections
  readonly #requestTimeoutMs: number
  readonly #known = new Map<string, number>()

  constructor(connections: Connections, requestTimeoutMs: number) {
    this.#connections = connections
    this.#requestTimeoutMs = requestTimeoutMs
  }

  /** Node id of the coordinator. One attempt: rejects with a retriable {@link ProtocolError} while there is none. */
  async find(key: string, kind: CoordinatorKind = 'group'): Promise<number> {
    const known = this.#known.get(nameOf(key, kind))
    if (known !== undefined) return known
    const keyType = KEY_TYPES[kind]
    const { response, version } = await this.#connections.requestAny(
      findCoordinatorApi,
      (requestVersion) =>
        requestVersion >= LISTS_FROM_VERSION
          ? createFindCoordinatorRequest({ keyType, coordinatorKeys: [key] })
          : createFindCoordinatorRequest({ keyType, key }),
      { timeoutMs: this.#requestTimeoutMs },
    )
    const found = version >= LISTS_FROM_VERSION ? response.coordinators.find((one) => one.key === key) : response
    if (found === undefined) throw new ProtocolError(-1, { message: `no answer about ${kind} ${key}` })
    throwIfError(found.errorCode, { subject: `coordinator of ${kind} ${key}`, message: found.errorMessage })
    this.#connections.addBroker(found.nodeId, { host: found.host, port: found.port })
    this.#known.set(nameOf(key, kind), found.nodeId)
    return found.nodeId
  }

  /** The answer was wrong or the broker is gone: the next `find` asks again. */
  forget(key: string, kind: CoordinatorKind = 'group'): void {
    this.#known.delete(nameOf(key, kind))
  }
}

function nameOf(key: string, kind: CoordinatorKind): string {
  return `${kind}/${key}`
}
