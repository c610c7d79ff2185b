import type { Random } from '@millrace/base'
import type { FeatureRange, MetadataImage } from '../image.ts'
import type { MetadataRecord } from '../records.ts'
import { applyRecords } from '../reducer.ts'
import { type ApiError, apiError, MetadataErrorCode } from './api-error.ts'

/** Records that one request of a user may cause; more would be one too large batch (`controller.md`, 1.2). */
export const MAX_RECORDS_PER_OPERATION = 10_000

/** What controller rules know besides the request. They change nothing: they give records, which somebody appends and applies. */
export interface ControllerContext {
  readonly image: MetadataImage
  readonly random: Random
  readonly settings: ControllerSettings
  readonly configRules: ConfigRules
  /** Ids of those who vote in the metadata quorum; empty at a node that keeps its own metadata. */
  readonly voterIds: readonly number[]
}

export interface ControllerSettings {
  /** Node that the controller runs on. */
  readonly nodeId: number
  /** `num.partitions`, for topics that name no count. */
  readonly numPartitions: number
  /** `default.replication.factor`, likewise. */
  readonly defaultReplicationFactor: number
  /** Most partitions of all topics together: each costs memory, files and time at a start. */
  readonly maxPartitions: number
  /** `delete.topic.enable`. */
  readonly deleteTopicEnable: boolean
  /** Feature levels that this node's software supports. */
  readonly supportedFeatures: ReadonlyMap<string, FeatureRange>
}

/** What the controller must know of configuration keys. The broker implements it: this package knows no key by name but a few. */
export interface ConfigRules {
  /** Checks all that a resource would have after a change. Null: fine. */
  validate(
    resourceType: number,
    resourceName: string,
    configs: ReadonlyMap<string, string>,
    previous: ReadonlyMap<string, string>,
  ): ApiError | null
  /** Whether items can be appended to and taken from the value. */
  isList(resourceType: number, key: string): boolean
  /** Text of the default in the schema, or null. */
  schemaDefault(resourceType: number, key: string): string | null
  /** All settings that a topic with these of its own would have, sorted by name. */
  effectiveTopicConfigs(image: MetadataImage, own: ReadonlyMap<string, string>): EffectiveTopicConfig[]
  /** Effective `min.insync.replicas` of a topic. */
  minInsyncReplicas(image: MetadataImage, topic: string): number
  /** The value that the node was started with, or the default. */
  staticMinInsyncReplicas(): number
  /** Effective `unclean.leader.election.enable` of a topic. */
  uncleanLeaderElectionEnable(image: MetadataImage, topic: string): boolean
}

/** As CreateTopics tells it. */
export interface EffectiveTopicConfig {
  readonly name: string
  /** Null if secret or without a value. */
  readonly value: string | null
  readonly readOnly: boolean
  readonly configSource: number
  readonly isSensitive: boolean
}

/** What to append, and what to answer once it is committed. The records are one atomic batch. */
export interface Outcome<Response> {
  readonly records: readonly MetadataRecord[]
  readonly response: Response
}

/** The same context once the records are applied: what a later step of one operation works with. */
export function afterRecords(context: ControllerContext, records: readonly MetadataRecord[]): ControllerContext {
  return records.length === 0 ? context : { ...context, image: applyRecords(context.image, records).image }
}

/** The refusal of a request that would cause too many records, or null. */
export function tooManyRecords(records: readonly MetadataRecord[]): ApiError | null {
  if (records.length <= MAX_RECORDS_PER_OPERATION) return null
  return apiError(
    MetadataErrorCode.POLICY_VIOLATION,
    `The request would write ${records.length} metadata records, but one may write at most ${MAX_RECORDS_PER_OPERATION}`,
  )
}

/** How many partitions a request may still add to those that there are (`max.partitions`). */
export class PartitionRoom {
  readonly #limit: number
  #count: number

  constructor({ image, settings }: ControllerContext) {
    this.#limit = settings.maxPartitions
    this.#count = 0
    for (const topic of image.topics.values()) this.#count += topic.partitions.length
  }

  /** Why a topic may not get so many more, or null. */
  refusal(addedCount: number): ApiError | null {
    const count = this.#count + addedCount
    if (count <= this.#limit) return null
    return apiError(
      MetadataErrorCode.POLICY_VIOLATION,
      `There would be ${count} partitions, and there may be ${this.#limit} (max.partitions)`,
    )
  }

  take(addedCount: number): void {
    this.#count += addedCount
  }
}
