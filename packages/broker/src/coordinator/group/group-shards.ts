import { coordinatorPartition, ErrorCode } from '@millrace/protocol'
import type { CoordinatorLog } from '../coordinator-log.ts'
import { CoordinatorRuntime, type ReadOutcome } from '../runtime/coordinator-runtime.ts'
import { responseErrorOf } from '../runtime/operation-errors.ts'
import type { ShardPorts, TransactionEnd } from '../runtime/shard-ports.ts'
import type { ParkedReply, ReplyToken } from '../runtime/step.ts'
import type { Timeline } from '../runtime/timeline.ts'
import type { TransactionalProducer } from '../runtime/write-batch.ts'
import type { GroupMachine } from './group-machine.ts'
import type { GroupEvent, GroupReply, GroupStep } from './group-protocol.ts'
import type { GroupRecord } from './group-record.ts'
import { GroupRecordCodec } from './group-record-codec.ts'

/**
 * Of a request about many groups, so many are looked at in one turn: one may have some hundred members or offsets, each an element of the
 * answer.
 */
export const SLICE_GROUPS = 16

/** What the shards need of the group coordinator. */
export interface GroupShardsDeps
  extends Omit<ShardPorts<GroupMachine, GroupRecord, GroupReply>, 'codec' | 'createCoordinator' | 'onReply'> {
  createMachine(timeline: Timeline): GroupMachine
}

/** Where a group is; or, without a partition, why a request about it is refused. */
type GroupPlace =
  | { readonly partition: number; readonly errorCode: typeof ErrorCode.NONE }
  | { readonly partition: null; readonly errorCode: number }

/**
 * The machines of the partitions of `__consumer_offsets` that this node leads, for requests: finds the one of a group, has it do something,
 * and gives what came of it, also where the answer comes much later.
 */
export class GroupShards {
  readonly #runtime: CoordinatorRuntime<GroupMachine, GroupRecord, GroupEvent, GroupReply>
  /** By partition: one of each shard, for the limits. */
  readonly #machines = new Map<number, GroupMachine>()
  /** Who waits for the answers that the machine releases by token. */
  readonly #parked = new Map<ReplyToken, (reply: GroupReply) => void>()
  #nextToken: ReplyToken = 1
  /** Fixed at start, since it says where each group is; 0: not started. */
  #partitionCount = 0

  constructor(deps: GroupShardsDeps) {
    this.#runtime = new CoordinatorRuntime({
      ...deps,
      codec: new GroupRecordCodec(),
      createCoordinator: (partition, timeline) => {
        this.#closeMachine(partition)
        const machine = deps.createMachine(timeline)
        this.#machines.set(partition, machine)
        return machine
      },
      onReply: (reply) => this.#onReply(reply),
    })
  }

  get isStarted(): boolean {
    return this.#partitionCount > 0
  }

  /** Begins to serve, with so many partitions of `__consumer_offsets` in the cluster. */
  startup(partitionCount: number): void {
    this.#partitionCount = partitionCount
  }

  /** Ends everything; waiting requests are answered NOT_COORDINATOR. */
  shutdown(): void {
    this.#partitionCount = 0
    this.#runtime.close()
    for (const partition of [...this.#machines.keys()]) this.#closeMachine(partition)
  }

  /** This node leads the partition from now on. Resolves when it is loaded, or could not be; need not be awaited. */
  onElection(partition: number, log: CoordinatorLog): Promise<void> {
    return this.#runtime.onElection(partition, log)
  }

  /** This node does not lead the partition any more. */
  onResignation(partition: number): void {
    this.#runtime.onResignation(partition)
    this.#closeMachine(partition)
  }

  /** Partitions that this node leads. */
  get partitions(): number[] {
    return this.#runtime.partitions
  }

  /** Those of them whose log could not be loaded. */
  get failedPartitions(): number[] {
    return this.#runtime.partitions.filter((partition) => this.#runtime.stateOf(partition) === 'failed')
  }

  /** Partition of `__consumer_offsets` that a group belongs to; null before `startup` and after `shutdown`. */
  partitionFor(groupId: string): number | null {
    return this.#partitionCount === 0 ? null : coordinatorPartition(groupId, this.#partitionCount)
  }

  /** As {@link partitionFor}, for what only a group with a name can be asked: one without may have offsets, and nothing else. */
  placeOf(groupId: string): GroupPlace {
    const partition = this.partitionFor(groupId)
    if (partition === null) return { partition, errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE }
    if (groupId === '') return { partition: null, errorCode: ErrorCode.INVALID_GROUP_ID }
    return { partition, errorCode: ErrorCode.NONE }
  }

  /** Reads the partition's committed state. */
  read<Response>(partition: number, compute: (machine: GroupMachine) => Response): ReadOutcome<Response> {
    return this.#runtime.read(partition, compute)
  }

  /** Takes one step of the partition's machine; resolves once what it wrote is committed. */
  write<Response>(
    partition: number,
    compute: (machine: GroupMachine, step: GroupStep) => Response,
    producer: TransactionalProducer | null = null,
  ): Promise<ReadOutcome<Response>> {
    return new Promise((resolve) => {
      this.#runtime.write(partition, compute, (errorCode, response) => resolve({ errorCode, response }), producer)
    })
  }

  /** Takes one step of every partition's machine. `onFailed` is told of those whose records could not be written. */
  writeAll(
    compute: (machine: GroupMachine, step: GroupStep) => void,
    onFailed: (partition: number, errorCode: number) => void,
  ): void {
    for (const partition of this.#runtime.partitions) {
      this.#runtime.write(partition, compute, (errorCode) => {
        if (errorCode !== 0) onFailed(partition, errorCode)
      })
    }
  }

  /** Starts an operation whose answer comes by token, unless the shard refuses it or its write fails before. */
  park<Response>(
    partition: number,
    compute: (machine: GroupMachine, token: ReplyToken, step: GroupStep) => void,
    failed: (errorCode: number) => GroupReply,
    respond: (reply: GroupReply) => Response,
  ): Promise<Response> {
    return new Promise((resolve) => {
      const token = this.#nextToken++
      this.#parked.set(token, (reply) => resolve(respond(reply)))
      this.#runtime.write(
        partition,
        (machine, step) => compute(machine, token, step),
        (errorCode) => {
          if (errorCode !== 0) this.#onReply({ token, reply: failed(responseErrorOf(errorCode)) })
        },
      )
    })
  }

  /** The end of a transaction that has offsets in the partition: resolves to an error code once it is committed. */
  endTransaction(partition: number, end: TransactionEnd): Promise<number> {
    return new Promise((resolve) => this.#runtime.endTransaction(partition, end, resolve))
  }

  /** What it held, or still holds for a moment, is not the node's any more. */
  #closeMachine(partition: number): void {
    this.#machines.get(partition)?.usage.close()
    this.#machines.delete(partition)
  }

  /** Only the first answer to a token counts. */
  #onReply({ token, reply }: ParkedReply<GroupReply>): void {
    const respond = this.#parked.get(token)
    if (respond === undefined) return
    this.#parked.delete(token)
    respond(reply)
  }
}
