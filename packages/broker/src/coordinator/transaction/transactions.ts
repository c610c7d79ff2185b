import type { Clock, Timers } from '@millrace/base'
import { budgetBytes } from '../../broker-limits.ts'
import type { Configuration } from '../../config/configuration.ts'
import type { NextTurn } from '../../handlers/next-turn.ts'
import type { Logger } from '../../logger.ts'
import type { MetadataService } from '../../metadata/metadata-service.ts'
import { ProducerIdSource } from '../../metadata/producer-id-source.ts'
import type { PartitionManager } from '../../partition/partition-manager.ts'
import { BrokerConnectionError } from '../../replication/broker-connection.ts'
import type { BrokerConnections } from '../../replication/broker-connections.ts'
import { PeerCalls } from '../../replication/peer-calls.ts'
import type { GroupCoordinator } from '../group/group-coordinator.ts'
import { MarkerWriter } from './marker-writer.ts'
import { PartitionVerifier } from './partition-verifier.ts'
import { askCoordinatorOver, sendMarkersOver } from './peer-requests.ts'
import { TransactionCoordinator } from './transaction-coordinator.ts'

export interface TransactionsDeps {
  readonly configuration: Configuration
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
  readonly metadata: MetadataService
  readonly partitions: PartitionManager
  readonly groups: GroupCoordinator
  /** Null where there are no other brokers. */
  readonly connections: BrokerConnections | null
  enqueueEndOfTurn(callback: () => void): void
  readonly nextTurn: NextTurn
  onFault(error: unknown): void
}

/** All that has to do with transactions on one node: their coordinator, and what it and the leaders of partitions tell each other. */
export class Transactions {
  readonly coordinator: TransactionCoordinator
  readonly verifier: PartitionVerifier
  readonly markers: MarkerWriter
  readonly producerIds: ProducerIdSource
  readonly #peers: PeerCalls

  constructor(deps: TransactionsDeps) {
    const { configuration, clock, timers, metadata, partitions, groups } = deps
    const config = configuration.broker
    const { nodeId } = configuration
    this.#peers = new PeerCalls(deps.connections ?? NO_OTHERS, timers)
    this.producerIds = new ProducerIdSource(metadata)
    this.markers = new MarkerWriter({ partitions, groups, clock, timers })
    this.coordinator = new TransactionCoordinator({
      ...{ nodeId, clock, timers, logger: deps.logger, nextTurn: deps.nextTurn, producerIds: this.producerIds },
      config: {
        ...config,
        transactionCoordinatorMaxBytes: budgetBytes(config.transactionCoordinatorMaxBytes, 0, 8),
      },
      metadata: () => metadata.image,
      enqueueEndOfTurn: (callback) => deps.enqueueEndOfTurn(callback),
      groupPartitionFor: (groupId) => groups.partitionFor(groupId),
      writeMarker: (marker, topic, partition) => this.markers.write(marker, topic, partition, config.requestTimeoutMs),
      sendMarkers: sendMarkersOver(this.#peers),
      onFault: (error) => deps.onFault(error),
    })
    this.verifier = new PartitionVerifier({
      ...{ nodeId, clock, timers, counters: this.coordinator.counters },
      image: () => metadata.image,
      partitionFor: (transactionalId) => this.coordinator.partitionFor(transactionalId),
      askHere: (transactions) => this.coordinator.answerBrokers(transactions),
      ask: askCoordinatorOver(this.#peers),
      whenEnded: (identity, timeoutMs) => this.coordinator.whenEnded(identity, timeoutMs),
      settings: () => configuration.broker,
    })
  }

  shutdown(): void {
    this.coordinator.shutdown()
    this.#peers.close()
  }
}

const NO_OTHERS: Pick<BrokerConnections, 'open'> = {
  open: (brokerId) => Promise.reject(new BrokerConnectionError(`there is no broker ${brokerId}`)),
}
