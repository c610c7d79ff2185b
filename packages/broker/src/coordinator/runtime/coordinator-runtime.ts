import { ErrorCode } from '@millrace/protocol'
import type { CoordinatorLog } from '../coordinator-log.ts'
import type { Coordinator } from './coordinator.ts'
import { CoordinatorShard } from './coordinator-shard.ts'
import type { ShardPorts, ShardState, TransactionEnd } from './shard-ports.ts'
import type { Step } from './step.ts'
import type { TransactionalProducer } from './write-batch.ts'
import type { Complete } from './write-operation.ts'

/** What a read gave: the error code is 0 or says why there is no response. */
export interface ReadOutcome<Response> {
  readonly errorCode: number
  readonly response: Response | null
}

/**
 * The coordinators of one internal topic on this node: one shard per partition that the node leads (`coordinators.md`, section
 * 1). Groups, transactions and share groups each have a runtime with their own state machine.
 */
export class CoordinatorRuntime<Machine extends Coordinator<Record, Event, Reply>, Record, Event, Reply> {
  readonly #ports: ShardPorts<Machine, Record, Reply>
  readonly #shards = new Map<number, CoordinatorShard<Machine, Record, Event, Reply>>()

  constructor(ports: ShardPorts<Machine, Record, Reply>) {
    this.#ports = ports
  }

  /** Partitions with a shard, whatever its state. */
  get partitions(): number[] {
    return [...this.#shards.keys()]
  }

  /** Undefined: this node does not lead the partition. */
  stateOf(partition: number): ShardState | undefined {
    return this.#shards.get(partition)?.state
  }

  /** This node leads the partition from now on. Resolves when the shard is loaded or has failed to; need not be awaited. */
  onElection(partition: number, log: CoordinatorLog): Promise<void> {
    this.onResignation(partition)
    const shard = new CoordinatorShard<Machine, Record, Event, Reply>(partition, log, this.#ports)
    this.#shards.set(partition, shard)
    return shard.load()
  }

  /** This node does not lead the partition any more: what waits is answered NOT_COORDINATOR. */
  onResignation(partition: number): void {
    this.#shards.get(partition)?.close()
    this.#shards.delete(partition)
  }

  /** Takes one step of the partition's machine; see {@link CoordinatorShard.write}. */
  write<Response>(
    partition: number,
    compute: (machine: Machine, step: Step<Record, Event, Reply>) => Response,
    complete: Complete<Response>,
    producer: TransactionalProducer | null = null,
  ): void {
    const shard = this.#shards.get(partition)
    if (shard === undefined) complete(ErrorCode.NOT_COORDINATOR, null)
    else shard.write(compute, complete, producer)
  }

  /** Ends a producer's transaction in the partition's log; see {@link CoordinatorShard.endTransaction}. */
  endTransaction(partition: number, end: TransactionEnd, complete: Complete<true>): void {
    const shard = this.#shards.get(partition)
    if (shard === undefined) complete(ErrorCode.NOT_COORDINATOR, null)
    else shard.endTransaction(end, complete)
  }

  /** Reads the partition's committed state. */
  read<Response>(partition: number, compute: (machine: Machine) => Response): ReadOutcome<Response> {
    const shard = this.#shards.get(partition)
    return shard === undefined ? { errorCode: ErrorCode.NOT_COORDINATOR, response: null } : shard.read(compute)
  }

  /** Closes all shards. The runtime may be used again. */
  close(): void {
    for (const partition of this.partitions) this.onResignation(partition)
  }
}
