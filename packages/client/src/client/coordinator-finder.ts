import { createFindCoordinatorRequest, findCoordinatorApi } from '@millrace/protocol'
import { ProtocolError, throwIfError } from '../errors/protocol-error.ts'
import type { Connections } from '../network/connections.ts'

const GROUP_KEY_TYPE = 0
/** Lists of keys (KIP-699). */
const LISTS_FROM_VERSION = 4

/** Which broker coordinates a group, asked once and kept until someone finds it wrong. */
export class CoordinatorFinder {
  readonly #connections: Connections
  readonly #requestTimeoutMs: number
  readonly #known = new Map<string, number>()

  constructor(connections: Connections, requestTimeoutMs: number) {
    this.#connections = connections
    this.#requestTimeoutMs = requestTimeoutMs
  }

  /** Node id of the group's coordinator. One attempt: rejects with a retriable {@link ProtocolError} while there is none. */
  async find(groupId: string): Promise<number> {
    const known = this.#known.get(groupId)
    if (known !== undefined) return known
    const { response, version } = await this.#connections.requestAny(
      findCoordinatorApi,
      (requestVersion) =>
        requestVersion >= LISTS_FROM_VERSION
          ? createFindCoordinatorRequest({ keyType: GROUP_KEY_TYPE, coordinatorKeys: [groupId] })
          : createFindCoordinatorRequest({ keyType: GROUP_KEY_TYPE, key: groupId }),
      { timeoutMs: this.#requestTimeoutMs },
    )
    const found = version >= LISTS_FROM_VERSION ? response.coordinators.find(({ key }) => key === groupId) : response
    if (found === undefined) throw new ProtocolError(-1, { message: `no answer about group ${groupId}` })
    throwIfError(found.errorCode, { subject: `coordinator of group ${groupId}`, message: found.errorMessage })
    this.#connections.addBroker(found.nodeId, { host: found.host, port: found.port })
    this.#known.set(groupId, found.nodeId)
    return found.nodeId
  }

  /** The answer was wrong or the broker is gone: the next `find` asks again. */
  forget(groupId: string): void {
    this.#known.delete(groupId)
  }
}
