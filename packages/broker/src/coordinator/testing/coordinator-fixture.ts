import { SeededRandom, SimulatedClock, SimulatedTimers, type Uuid, ZERO_UUID } from '@millrace/base'
import { applyRecords, emptyImage, type MetadataImage, type MetadataRecord } from '@millrace/consensus'
import {
  type ApiDefinition,
  createJoinGroupRequest,
  createJoinGroupRequestProtocol,
  createSyncGroupRequest,
  createSyncGroupRequestAssignment,
  type JoinGroupResponse,
  joinGroupApi,
  Reader,
  type SyncGroupResponse,
  syncGroupApi,
  Writer,
} from '@millrace/protocol'
import { joinGroupHandler } from '../../handlers/11-join-group.ts'
import { syncGroupHandler } from '../../handlers/14-sync-group.ts'
import type { ApiHandler, RequestContext } from '../../handlers/handler.ts'
import { GROUP_METADATA_TOPIC } from '../../metadata/internal-topics.ts'
import type { GroupCoordinatorConfig } from '../group/group-config.ts'
import { GroupCoordinator } from '../group/group-coordinator.ts'
import { FakeCoordinatorLog } from './fake-coordinator-log.ts'
import { subscription, TEST_CONFIG, topicId } from './group-driver.ts'
import { ManualTurn } from './manual-turn.ts'
import { NO_SHARES } from './no-shares.ts'
import { RecordingLogger } from './recording-logger.ts'

export const PARTITION_COUNT = 4
export const BROKER_ID = 1

/** An image with one broker and these topics. */
export function imageOf(topics: readonly string[], partitionsPerTopic = 2): MetadataImage {
  const records: MetadataRecord[] = [
    {
      type: 'RegisterBrokerRecord',
      brokerId: BROKER_ID,
      incarnationId: topicId('incarnation'),
      brokerEpoch: 1,
      endPoints: [{ listener: 'PLAINTEXT', host: 'broker.test', port: 9092, securityProtocol: 'PLAINTEXT' }],
      features: {},
      rack: null,
      fenced: false,
      inControlledShutdown: false,
      logDirs: [],
    },
  ]
  for (const name of topics) {
    records.push({ type: 'TopicRecord', name, topicId: topicId(name) })
    const partitionCount = name === GROUP_METADATA_TOPIC ? PARTITION_COUNT : partitionsPerTopic
    for (let partition = 0; partition < partitionCount; partition++) {
      records.push(partitionRecord(topicId(name), partition))
    }
  }
  return applyRecords(emptyImage('cluster'), records).image
}

function partitionRecord(id: Uuid, partitionId: number): MetadataRecord {
  return {
    type: 'PartitionRecord',
    topicId: id,
    partitionId,
    replicas: [BROKER_ID],
    directories: [ZERO_UUID],
    isr: [BROKER_ID],
    removingReplicas: [],
    addingReplicas: [],
    leader: BROKER_ID,
    leaderRecoveryState: 0,
    leaderEpoch: 0,
    partitionEpoch: 0,
    eligibleLeaderReplicas: [],
    lastKnownElr: [],
  }
}

/** A request's surroundings. */
export function contextOf(apiKey: number, apiVersion: number, clientId = 'client'): RequestContext {
  return {
    apiKey,
    apiVersion,
    correlationId: 1,
    clientId,
    connection: {
      connectionId: 1,
      clientAddress: '127.0.0.1',
      clientPort: 40_000,
      listener: 'PLAINTEXT',
      principal: 'User:ANONYMOUS',
      brokerId: -1,
      clientSoftwareName: '',
      clientSoftwareVersion: '',
    },
    onAbandoned: () => undefined,
    holdAnswerBytes: () => undefined,
    nextSlice: (nextTurn) => nextTurn(),
    growAnswer: () => undefined,
  }
}

/** A group coordinator on simulated ports, with the logs of its partitions. Requests and responses pass through their bytes. */
export class CoordinatorFixture {
  readonly clock = new SimulatedClock()
  readonly timers = new SimulatedTimers(this.clock)
  readonly turn = new ManualTurn()
  readonly logger = new RecordingLogger()
  readonly faults: unknown[] = []
  image = imageOf([GROUP_METADATA_TOPIC, 'topic', 'other'])
  logs: FakeCoordinatorLog[] = []
  readonly groups: GroupCoordinator

  constructor(config: Partial<GroupCoordinatorConfig> = {}, shares: typeof NO_SHARES = NO_SHARES) {
    this.groups = new GroupCoordinator({
      ...shares,
      config: { ...TEST_CONFIG, groupInitialRebalanceDelayMs: 0, ...config },
      clock: this.clock,
      timers: this.timers,
      random: new SeededRandom(7),
      logger: this.logger,
      metadata: () => this.image,
      enqueueEndOfTurn: this.turn.enqueue,
      nextTurn: () => Promise.resolve(),
      onFault: (error) => this.faults.push(error),
    })
  }

  /** A coordinator that has started and leads all partitions, as they are found in `logs`. */
  static async started(
    config: Partial<GroupCoordinatorConfig> = {},
    logs: readonly FakeCoordinatorLog[] = [],
    shares: typeof NO_SHARES = NO_SHARES,
  ): Promise<CoordinatorFixture> {
    const fixture = new CoordinatorFixture(config, shares)
    fixture.groups.startup()
    for (let partition = 0; partition < PARTITION_COUNT; partition++) {
      const log = logs[partition] ?? new FakeCoordinatorLog(partition)
      fixture.logs.push(log)
      await fixture.groups.onElection(partition, log)
    }
    return fixture
  }

  /** Sends a request without letting anything happen afterwards. */
  send<Request, Response>(
    api: ApiDefinition<Request, Response>,
    handler: ApiHandler<Request, Response>,
    request: Request,
    version: number = api.maxVersion,
  ): Promise<Response> {
    const writer = new Writer()
    api.encodeRequest(writer, request, version)
    const bytes = Buffer.from(writer.toBuffer())
    const decoded = handler.decodeRequest(new Reader(bytes), version)
    const answer = Promise.resolve(handler.handle(decoded, contextOf(api.key, version)))
    // The network reuses the buffer as soon as the handler has returned.
    bytes.fill(0xee)
    return answer.then((response) => {
      const out = new Writer()
      handler.encodeResponse(out, response!, version)
      const reader = new Reader(out.toBuffer())
      const result = api.decodeResponse(reader, version)
      reader.expectEnd()
      return result
    })
  }

  /** Sends a request, commits what it writes and gives the response. */
  async call<Request, Response>(
    api: ApiDefinition<Request, Response>,
    handler: ApiHandler<Request, Response>,
    request: Request,
    version: number = api.maxVersion,
  ): Promise<Response> {
    const answer = this.send(api, handler, request, version)
    this.settle()
    return answer
  }

  /** Ends the turn, commits everything, and runs timers that are due now. */
  settle(): void {
    for (let round = 0; round < 3; round++) {
      this.turn.end()
      for (const log of this.logs) log.commit()
      this.timers.advance(0)
    }
  }

  /** Brings one member into a Stable group. */
  async joinAndSync(groupId: string): Promise<{ join: JoinGroupResponse; sync: SyncGroupResponse }> {
    const request = createJoinGroupRequest({
      groupId,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 60_000,
      protocolType: 'consumer',
      protocols: [createJoinGroupRequestProtocol({ name: 'range', metadata: subscription('topic') })],
    })
    const handler = joinGroupHandler({ groups: this.groups })
    const { memberId } = await this.call(joinGroupApi, handler, request)
    const join = await this.call(joinGroupApi, handler, { ...request, memberId })
    const sync = await this.call(
      syncGroupApi,
      syncGroupHandler({ groups: this.groups }),
      createSyncGroupRequest({
        groupId,
        generationId: join.generationId,
        memberId,
        protocolType: 'consumer',
        protocolName: 'range',
        assignments: [createSyncGroupRequestAssignment({ memberId, assignment: Buffer.from('assigned') })],
      }),
    )
    return { join, sync }
  }
}
