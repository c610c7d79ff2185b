import type { BrokerImage, MetadataImage } from '@millrace/consensus'
import {
  createFindCoordinatorResponse,
  createFindCoordinatorResponseCoordinator,
  ErrorCode,
  errorInfo,
  type FindCoordinatorRequest,
  type FindCoordinatorResponse,
} from '@millrace/protocol'
import type { RequestContext } from '../handlers/handler.ts'
import { mapInSlices, type NextTurn, whenMapped } from '../handlers/slices.ts'
import type { Logger } from '../logger.ts'
import { describeError } from './runtime/describe-error.ts'

/** Kafka's numbers of what a coordinator coordinates. */
export const CoordinatorKeyType = { GROUP: 0, TRANSACTION: 1, SHARE: 2 } as const

const BATCHED_VERSION = 4
const SHARE_VERSION = 6
const NO_NODE: Node = { id: -1, host: '', port: -1 }

/** Where the coordinators of one kind are found. */
export interface CoordinatorDirectory {
  /** Internal topic whose leaders are the coordinators. */
  readonly topic: string
  /** Left out: every text is a key. */
  isKey?(key: string): boolean
  /** Partition of a key, or null while coordinators of the kind are not running. */
  partitionFor(key: string): number | null
}

/** What finding coordinators needs of the rest of the broker. */
export interface CoordinatorFinderDeps {
  readonly logger: Logger
  metadata(): MetadataImage
  /** Has the topic created by the controller; resolves to whether it exists then. */
  ensureInternalTopic(name: string): Promise<boolean>
  readonly nextTurn: NextTurn
}

interface Node {
  readonly id: number
  readonly host: string
  readonly port: number
}

/** Answers FindCoordinator for all kinds of coordinators there are. */
export class CoordinatorFinder {
  readonly #deps: CoordinatorFinderDeps
  readonly #directories: ReadonlyMap<number, CoordinatorDirectory>
  /** Topics whose creation was asked for and is not done. */
  readonly #creating = new Set<string>()

  /** `directories` by {@link CoordinatorKeyType}. */
  constructor(deps: CoordinatorFinderDeps, directories: ReadonlyMap<number, CoordinatorDirectory>) {
    this.#deps = deps
    this.#directories = directories
  }

  /** Many keys take several turns. */
  find(
    request: FindCoordinatorRequest,
    context: RequestContext,
  ): FindCoordinatorResponse | Promise<FindCoordinatorResponse> {
    const { apiVersion } = context
    const { listener } = context.connection
    if (apiVersion >= BATCHED_VERSION) {
      const coordinators = mapInSlices(
        request.coordinatorKeys,
        this.#deps.nextTurn,
        (key) => {
          const { errorCode, node } = this.#findOne(request.keyType, key, apiVersion, listener)
          return createFindCoordinatorResponseCoordinator({
            key,
            nodeId: node.id,
            host: node.host,
            port: node.port,
            errorCode,
            errorMessage: errorMessageOf(errorCode),
          })
        },
        context,
      )
      return whenMapped(coordinators, (all) => createFindCoordinatorResponse({ coordinators: all }))
    }
    const { errorCode, node } = this.#findOne(request.keyType, request.key, apiVersion, listener)
    return createFindCoordinatorResponse({
      errorCode,
      errorMessage: errorMessageOf(errorCode),
      nodeId: node.id,
      host: node.host,
      port: node.port,
    })
  }

  #findOne(keyType: number, key: string, apiVersion: number, listener: string): { errorCode: number; node: Node } {
    const isKnown = keyType >= CoordinatorKeyType.GROUP && keyType <= CoordinatorKeyType.SHARE
    if (!isKnown || (keyType === CoordinatorKeyType.SHARE && apiVersion < SHARE_VERSION)) {
      return { errorCode: ErrorCode.INVALID_REQUEST, node: NO_NODE }
    }
    const unavailable = { errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, node: NO_NODE }
    const directory = this.#directories.get(keyType)
    if (directory === undefined) return unavailable
    if (directory.isKey?.(key) === false) return { errorCode: ErrorCode.INVALID_REQUEST, node: NO_NODE }
    const partition = directory.partitionFor(key)
    if (partition === null) return unavailable
    const image = this.#deps.metadata()
    const topic = image.topics.get(directory.topic)
    if (topic === undefined) {
      this.#create(directory.topic)
      return unavailable
    }
    const leader = topic.partitions[partition]?.leader ?? -1
    const node = nodeOf(image.brokers.get(leader), listener)
    return node === null ? unavailable : { errorCode: ErrorCode.NONE, node }
  }

  /** The client is told to come back; by then the topic should be there. */
  #create(topic: string): void {
    if (this.#creating.has(topic)) return
    this.#creating.add(topic)
    this.#deps
      .ensureInternalTopic(topic)
      .then((exists) => {
        if (!exists) this.#deps.logger.warn('internal topic was not created', { topic })
      })
      .catch((error: unknown) => {
        this.#deps.logger.error('internal topic could not be created', { topic, error: describeError(error) })
      })
      .finally(() => this.#creating.delete(topic))
  }
}

function nodeOf(broker: BrokerImage | undefined, listener: string): Node | null {
  if (broker === undefined || broker.fenced) return null
  const endpoint = broker.endpoints.find((candidate) => candidate.listener === listener)
  return endpoint === undefined ? null : { id: broker.id, host: endpoint.host, port: endpoint.port }
}

function errorMessageOf(errorCode: number): string | null {
  return errorCode === ErrorCode.NONE ? null : errorInfo(errorCode).description
}
