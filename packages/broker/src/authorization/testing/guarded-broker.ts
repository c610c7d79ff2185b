import { AclOperation, AclPatternType, AclPermissionType, AclResourceType } from '@millrace/consensus'
import {
  createAclCreation,
  createAclsApi,
  createCreatableTopic,
  createCreateAclsRequest,
  createCreateTopicsRequest,
  createDeleteAclsFilter,
  createDeleteAclsRequest,
  createFindCoordinatorRequest,
  createOffsetCommitRequest,
  createOffsetCommitRequestPartition,
  createOffsetCommitRequestTopic,
  createTopicsApi,
  deleteAclsApi,
  findCoordinatorApi,
  offsetCommitApi,
} from '@millrace/protocol'
import { STANDARD_AUTHORIZER } from '../../config/definitions/security-definitions.ts'
import type { DataClient } from '../../testing/data-client.ts'
import { TestBroker, type TestBrokerOptions } from '../../testing/test-broker.ts'

/** Addresses, and who comes from them; who comes from elsewhere is anonymous. */
export const ADMIN = '10.0.0.1'
export const ALICE = '10.0.0.2'
const PRINCIPALS = { [ADMIN]: 'User:admin', [ALICE]: 'User:alice' }

/** A rule, as short as tests like it: who is alice, and from everywhere, if not said otherwise. */
export interface Rule {
  readonly type?: keyof typeof AclResourceType
  readonly name: string
  readonly prefixed?: boolean
  readonly principal?: string
  readonly host?: string
  readonly operation: keyof typeof AclOperation
  readonly deny?: boolean
}

/** A broker with an authorizer, of which `User:admin` is the super user. */
export class GuardedBroker {
  readonly broker: TestBroker
  readonly admin: DataClient
  readonly alice: DataClient
  readonly anonymous: DataClient

  private constructor(broker: TestBroker) {
    this.broker = broker
    this.admin = broker.connect(ADMIN)
    this.alice = broker.connect(ALICE)
    this.anonymous = broker.connect()
  }

  static async start(options: TestBrokerOptions = {}): Promise<GuardedBroker> {
    const settings = {
      'authorizer.class.name': STANDARD_AUTHORIZER,
      'super.users': 'User:admin;User:other',
      ...options.settings,
    }
    return new GuardedBroker(await TestBroker.start({ ...options, settings, principals: PRINCIPALS }))
  }

  async stop(): Promise<void> {
    await this.broker.stop()
    this.broker.assertSound()
  }

  /** Has the topic of offsets made, and its one partition loaded. */
  async serveGroups(): Promise<void> {
    await this.admin.call(findCoordinatorApi, 4, createFindCoordinatorRequest({ keyType: 0, coordinatorKeys: ['any'] }))
    await this.broker.idle()
  }

  /** Makes a topic that may be there already. */
  async ensureTopic(name: string): Promise<void> {
    const topics = [createCreatableTopic({ name, numPartitions: 1, replicationFactor: 1 })]
    await this.admin.call(createTopicsApi, 7, createCreateTopicsRequest({ topics, timeoutMs: 1_000 }))
  }

  /** Has a group commit something, so that there is one. */
  async ensureGroup(groupId: string, topic: string): Promise<void> {
    const partitions = [createOffsetCommitRequestPartition({ partitionIndex: 0, committedOffset: 0 })]
    const topics = [createOffsetCommitRequestTopic({ name: topic, partitions })]
    await this.admin.call(offsetCommitApi, 9, createOffsetCommitRequest({ groupId, topics }))
  }

  /** Makes rules as the super user. */
  async rule(...rules: readonly Rule[]): Promise<void> {
    const request = createCreateAclsRequest({ creations: rules.map(creationOf) })
    const { results } = await this.admin.call(createAclsApi, 3, request)
    const failed = results.find(({ errorCode }) => errorCode !== 0)
    if (failed !== undefined) throw new Error(`ACL refused: ${failed.errorCode} ${failed.errorMessage}`)
  }

  /** Takes all rules away. */
  async clear(): Promise<void> {
    const everything = createDeleteAclsFilter({
      resourceTypeFilter: AclResourceType.ANY,
      resourceNameFilter: null,
      patternTypeFilter: AclPatternType.ANY,
      principalFilter: null,
      hostFilter: null,
      operation: AclOperation.ANY,
      permissionType: AclPermissionType.ANY,
    })
    await this.admin.call(deleteAclsApi, 3, createDeleteAclsRequest({ filters: [everything] }))
  }
}

function creationOf({ type = 'TOPIC', name, prefixed, principal = 'User:alice', host = '*', operation, deny }: Rule) {
  return createAclCreation({
    resourceType: AclResourceType[type],
    resourceName: name,
    resourcePatternType: prefixed === true ? AclPatternType.PREFIXED : AclPatternType.LITERAL,
    principal,
    host,
    operation: AclOperation[operation],
    permissionType: deny === true ? AclPermissionType.DENY : AclPermissionType.ALLOW,
  })
}
