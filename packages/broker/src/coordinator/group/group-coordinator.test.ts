import {
  createDeleteGroupsRequest,
  createDescribeGroupsRequest,
  createHeartbeatRequest,
  createJoinGroupRequest,
  createJoinGroupRequestProtocol,
  createLeaveGroupRequest,
  createListGroupsRequest,
  createMemberIdentity,
  createSyncGroupRequest,
  deleteGroupsApi,
  describeGroupsApi,
  ErrorCode,
  heartbeatApi,
  joinGroupApi,
  leaveGroupApi,
  listGroupsApi,
  syncGroupApi,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { joinGroupHandler } from '../../handlers/11-join-group.ts'
import { heartbeatHandler } from '../../handlers/12-heartbeat.ts'
import { leaveGroupHandler } from '../../handlers/13-leave-group.ts'
import { syncGroupHandler } from '../../handlers/14-sync-group.ts'
import { describeGroupsHandler } from '../../handlers/15-describe-groups.ts'
import { listGroupsHandler } from '../../handlers/16-list-groups.ts'
import { deleteGroupsHandler } from '../../handlers/42-delete-groups.ts'
import { CoordinatorFixture, PARTITION_COUNT } from '../testing/coordinator-fixture.ts'
import { FakeCoordinatorLog } from '../testing/fake-coordinator-log.ts'
import { subscription } from '../testing/group-driver.ts'

const joinRequest = (init: Partial<ReturnType<typeof createJoinGroupRequest>> = {}) =>
  createJoinGroupRequest({
    groupId: 'group',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 60_000,
    protocolType: 'consumer',
    protocols: [createJoinGroupRequestProtocol({ name: 'range', metadata: subscription('topic') })],
    ...init,
  })

describe('JoinGroup', () => {
  test('checks the group id and the session timeout first, and echoes the member id', async () => {
    const fixture = await CoordinatorFixture.started()
    const handler = joinGroupHandler(fixture)
    const answerTo = (init: Parameters<typeof joinRequest>[0]) =>
      fixture.call(joinGroupApi, handler, joinRequest({ memberId: 'me', ...init }))
    expect(await answerTo({ groupId: '', sessionTimeoutMs: 1 })).toMatchObject({ errorCode: 24, memberId: 'me' })
    expect(await answerTo({ sessionTimeoutMs: 5999 })).toMatchObject({ errorCode: 26, memberId: 'me' })
    expect(await answerTo({ sessionTimeoutMs: 1_800_001 })).toMatchObject({ errorCode: 26, memberId: 'me' })
    expect(await answerTo({ sessionTimeoutMs: 6000 })).toMatchObject({ errorCode: ErrorCode.UNKNOWN_MEMBER_ID })
  })

  for (let version = joinGroupApi.minVersion; version <= joinGroupApi.maxVersion; version++) {
    test(`of version ${version} is answered in its terms`, async () => {
      const fixture = await CoordinatorFixture.started()
      const handler = joinGroupHandler(fixture)
      const request = joinRequest(version === 0 ? { rebalanceTimeoutMs: -1 } : {})
      const first = await fixture.call(joinGroupApi, handler, request, version)
      if (version >= 4) {
        expect(first.errorCode).toBe(ErrorCode.MEMBER_ID_REQUIRED)
        expect(first.protocolName).toBe(version >= 7 ? null : '')
      }
      const { memberId } = first
      const joined = version >= 4 ? await fixture.call(joinGroupApi, handler, { ...request, memberId }, version) : first
      expect(joined).toMatchObject({
        errorCode: 0,
        generationId: 1,
        memberId,
        leader: memberId,
        protocolName: 'range',
        protocolType: version >= 7 ? 'consumer' : null,
        members: [{ memberId, metadata: subscription('topic') }],
      })
      const error = await fixture.call(joinGroupApi, handler, { ...request, memberId: 'stranger' }, version)
      expect(error).toMatchObject({ errorCode: ErrorCode.UNKNOWN_MEMBER_ID, protocolName: version >= 7 ? null : '' })
    })
  }

  test('of version 0 takes the session timeout for the rebalance timeout', async () => {
    const fixture = await CoordinatorFixture.started()
    const handler = joinGroupHandler(fixture)
    const request = joinRequest({ rebalanceTimeoutMs: -1, sessionTimeoutMs: 20_000 })
    await fixture.call(joinGroupApi, handler, request, 0)
    const waiting = fixture.send(
      joinGroupApi,
      handler,
      joinRequest({ sessionTimeoutMs: 20_000, rebalanceTimeoutMs: 1 }),
      3,
    )
    fixture.timers.advance(19_999)
    expect(await Promise.race([waiting, 'waiting'])).toBe('waiting')
    fixture.timers.advance(1)
    expect(await waiting).toMatchObject({ errorCode: 0, generationId: 2 })
  })

  test('keeps the member’s address as Java prints it', async () => {
    const fixture = await CoordinatorFixture.started()
    await fixture.joinAndSync('group')
    const request = createDescribeGroupsRequest({ groups: ['group'] })
    const { groups } = await fixture.call(describeGroupsApi, describeGroupsHandler(fixture), request)
    expect(groups[0]!.members[0]).toMatchObject({ clientId: 'client', clientHost: '/127.0.0.1' })
  })

  test('is answered with the mapped error when its group cannot be written', async () => {
    const fixture = await CoordinatorFixture.started()
    for (const log of fixture.logs) log.appendError = ErrorCode.NOT_ENOUGH_REPLICAS
    const answer = await fixture.call(joinGroupApi, joinGroupHandler(fixture), joinRequest(), 3)
    expect(answer.errorCode).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect((await fixture.call(listGroupsApi, listGroupsHandler(fixture), createListGroupsRequest())).groups).toEqual(
      [],
    )
  })
})

describe('SyncGroup', () => {
  test('without a protocol is INCONSISTENT_GROUP_PROTOCOL from version 5', async () => {
    const fixture = await CoordinatorFixture.started()
    const handler = syncGroupHandler(fixture)
    const request = createSyncGroupRequest({ groupId: 'group', memberId: 'me', protocolName: 'range' })
    expect(await fixture.call(syncGroupApi, handler, request, 5)).toMatchObject({ errorCode: 23 })
    expect(await fixture.call(syncGroupApi, handler, request, 4)).toMatchObject({ errorCode: 25 })
  })

  test('with an empty group id is INVALID_GROUP_ID', async () => {
    const fixture = await CoordinatorFixture.started()
    const answer = await fixture.call(syncGroupApi, syncGroupHandler(fixture), createSyncGroupRequest({}), 3)
    expect(answer.errorCode).toBe(ErrorCode.INVALID_GROUP_ID)
  })

  test('gives the member its assignment, kept apart from the request’s buffer', async () => {
    const fixture = await CoordinatorFixture.started()
    const { join, sync } = await fixture.joinAndSync('group')
    expect(sync).toMatchObject({
      errorCode: 0,
      protocolType: 'consumer',
      protocolName: 'range',
      assignment: Buffer.from('assigned'),
    })
    const request = createSyncGroupRequest({ groupId: 'group', memberId: join.memberId, generationId: 1 })
    for (const version of [0, 1, 2, 3, 4]) {
      const again = await fixture.call(syncGroupApi, syncGroupHandler(fixture), request, version)
      expect(again.assignment).toEqual(Buffer.from('assigned'))
    }
  })
})

describe('Heartbeat', () => {
  test('is answered in all versions', async () => {
    const fixture = await CoordinatorFixture.started()
    const { join } = await fixture.joinAndSync('group')
    const handler = heartbeatHandler(fixture)
    for (const version of [0, 1, 2, 3, 4]) {
      const request = createHeartbeatRequest({ groupId: 'group', generationId: 1, memberId: join.memberId })
      expect(await fixture.call(heartbeatApi, handler, request, version)).toMatchObject({ errorCode: 0 })
      const stale = { ...request, generationId: 0 }
      expect(await fixture.call(heartbeatApi, handler, stale, version)).toMatchObject({ errorCode: 22 })
    }
    const empty = createHeartbeatRequest({})
    expect(await fixture.call(heartbeatApi, handler, empty)).toMatchObject({ errorCode: ErrorCode.INVALID_GROUP_ID })
  })

  test('is NONE while the group loads, so that members stay', async () => {
    const fixture = await CoordinatorFixture.started()
    for (const log of fixture.logs) log.commit()
    const elections = fixture.logs.map((log, partition) => fixture.groups.onElection(partition, log))
    const request = createHeartbeatRequest({ groupId: 'group', generationId: 1, memberId: 'me' })
    expect(await fixture.call(heartbeatApi, heartbeatHandler(fixture), request)).toMatchObject({ errorCode: 0 })
    await Promise.all(elections)
    expect(await fixture.call(heartbeatApi, heartbeatHandler(fixture), request)).toMatchObject({ errorCode: 25 })
  })
})

describe('LeaveGroup', () => {
  test('gives one error code below version 3 and one per member from there', async () => {
    const fixture = await CoordinatorFixture.started()
    const { join } = await fixture.joinAndSync('group')
    const handler = leaveGroupHandler(fixture)
    for (const version of [0, 1, 2]) {
      const request = createLeaveGroupRequest({ groupId: 'group', memberId: 'stranger' })
      expect(await fixture.call(leaveGroupApi, handler, request, version)).toMatchObject({ errorCode: 25 })
    }
    const members = [
      createMemberIdentity({ memberId: 'stranger' }),
      createMemberIdentity({ memberId: join.memberId, reason: null }),
    ]
    const answer = await fixture.call(leaveGroupApi, handler, createLeaveGroupRequest({ groupId: 'group', members }))
    expect(answer).toMatchObject({
      errorCode: 0,
      members: [
        { memberId: 'stranger', groupInstanceId: null, errorCode: 25 },
        { memberId: join.memberId, groupInstanceId: null, errorCode: 0 },
      ],
    })
    const again = await fixture.call(leaveGroupApi, handler, createLeaveGroupRequest({ groupId: 'nobody', members }), 3)
    expect(again).toMatchObject({ errorCode: 0, members: [{ errorCode: 25 }, { errorCode: 25 }] })
    const empty = createLeaveGroupRequest({ groupId: '', members })
    expect(await fixture.call(leaveGroupApi, handler, empty)).toMatchObject({ errorCode: 24, members: [] })
  })
})

describe('DescribeGroups', () => {
  test('tells members, metadata and assignment of a Stable group', async () => {
    const fixture = await CoordinatorFixture.started()
    const { join } = await fixture.joinAndSync('group')
    for (let version = 0; version <= describeGroupsApi.maxVersion; version++) {
      const request = createDescribeGroupsRequest({ groups: ['group'], includeAuthorizedOperations: version >= 3 })
      const { groups } = await fixture.call(describeGroupsApi, describeGroupsHandler(fixture), request, version)
      expect(groups).toMatchObject([
        {
          errorCode: 0,
          groupId: 'group',
          groupState: 'Stable',
          protocolType: 'consumer',
          protocolData: 'range',
          members: [
            {
              memberId: join.memberId,
              memberMetadata: subscription('topic'),
              memberAssignment: Buffer.from('assigned'),
            },
          ],
          authorizedOperations: version >= 3 ? 0b1101_0100_1000 : -(2 ** 31),
        },
      ])
    }
  })

  test('says that an unknown group is Dead, with an error from version 6', async () => {
    const fixture = await CoordinatorFixture.started()
    const request = createDescribeGroupsRequest({ groups: ['nobody', ''] })
    const older = await fixture.call(describeGroupsApi, describeGroupsHandler(fixture), request, 5)
    expect(older.groups.map((group) => [group.groupState, group.errorCode])).toEqual([
      ['Dead', 0],
      ['Dead', 0],
    ])
    const newer = await fixture.call(describeGroupsApi, describeGroupsHandler(fixture), request, 6)
    expect(newer.groups[0]).toMatchObject({
      groupState: 'Dead',
      errorCode: ErrorCode.GROUP_ID_NOT_FOUND,
      errorMessage: 'Group nobody not found.',
    })
  })
})

describe('ListGroups', () => {
  test('lists groups by state and type, whatever their case', async () => {
    const fixture = await CoordinatorFixture.started()
    await fixture.joinAndSync('stable')
    await fixture.call(joinGroupApi, joinGroupHandler(fixture), joinRequest({ groupId: 'empty' }))
    const list = async (init: Parameters<typeof createListGroupsRequest>[0], version = 5) => {
      const answer = await fixture.call(
        listGroupsApi,
        listGroupsHandler(fixture),
        createListGroupsRequest(init),
        version,
      )
      expect(answer.errorCode).toBe(0)
      return answer.groups
        .map(({ groupId, groupState, groupType }) => [groupId, groupState, groupType].join(' '))
        .sort()
    }
    expect(await list({})).toEqual(['empty Empty Classic', 'stable Stable Classic'])
    expect(await list({ statesFilter: [' STABLE '] })).toEqual(['stable Stable Classic'])
    expect(await list({ typesFilter: ['cLaSsIc'], statesFilter: ['dead', 'empty'] })).toEqual(['empty Empty Classic'])
    expect(await list({ typesFilter: ['consumer'] })).toEqual([])
    expect(await list({ statesFilter: ['Stable'] }, 4)).toEqual(['stable Stable '])
    expect(await list({}, 0)).toEqual(['empty  ', 'stable  '])
  })

  test('is COORDINATOR_LOAD_IN_PROGRESS while a part of the groups loads', async () => {
    const fixture = await CoordinatorFixture.started()
    await fixture.joinAndSync('group')
    const election = fixture.groups.onElection(0, new FakeCoordinatorLog(0))
    const request = createListGroupsRequest()
    expect(await fixture.call(listGroupsApi, listGroupsHandler(fixture), request)).toMatchObject({
      errorCode: 14,
      groups: [],
    })
    await election
    fixture.groups.onResignation(1)
    expect(await fixture.call(listGroupsApi, listGroupsHandler(fixture), request)).toMatchObject({ errorCode: 0 })
  })
})

describe('DeleteGroups', () => {
  test('answers each group once, in the order of the request', async () => {
    const fixture = await CoordinatorFixture.started()
    await fixture.joinAndSync('stable')
    const ids = ['a', 'b', 'c', 'd']
    for (const groupId of ids) await fixture.call(joinGroupApi, joinGroupHandler(fixture), joinRequest({ groupId }))
    for (const version of [0, 1, 2, 3]) {
      const groupsNames = [ids[version]!, 'stable', ids[version]!, 'nobody']
      const request = createDeleteGroupsRequest({ groupsNames })
      const answer = await fixture.call(deleteGroupsApi, deleteGroupsHandler(fixture), request, version)
      expect(answer.results.map(({ groupId, errorCode }) => [groupId, errorCode])).toEqual([
        [ids[version], 0],
        ['stable', ErrorCode.NON_EMPTY_GROUP],
        ['nobody', ErrorCode.GROUP_ID_NOT_FOUND],
      ])
    }
  })

  test('answers groups of partitions that are led elsewhere with NOT_COORDINATOR', async () => {
    const fixture = await CoordinatorFixture.started()
    const away = fixture.groups.partitionFor('away')!
    const here = Array.from({ length: 20 }, (_, slot) => `g${slot}`).find(
      (id) => fixture.groups.partitionFor(id) !== away,
    )!
    fixture.groups.onResignation(away)
    const request = createDeleteGroupsRequest({ groupsNames: ['away', here] })
    const { results } = await fixture.call(deleteGroupsApi, deleteGroupsHandler(fixture), request)
    expect(results.map((result) => result.errorCode)).toEqual([16, 69])
  })
})

describe('a group coordinator', () => {
  test('is COORDINATOR_NOT_AVAILABLE before it started and after it was shut down', async () => {
    const fixture = new CoordinatorFixture()
    const codes = async () => [
      (await fixture.call(joinGroupApi, joinGroupHandler(fixture), joinRequest())).errorCode,
      (await fixture.call(syncGroupApi, syncGroupHandler(fixture), createSyncGroupRequest({ groupId: 'g' }), 4))
        .errorCode,
      (await fixture.call(heartbeatApi, heartbeatHandler(fixture), createHeartbeatRequest({ groupId: 'g' }))).errorCode,
      (await fixture.call(leaveGroupApi, leaveGroupHandler(fixture), createLeaveGroupRequest({ groupId: 'g' })))
        .errorCode,
      (await fixture.call(listGroupsApi, listGroupsHandler(fixture), createListGroupsRequest())).errorCode,
      (
        await fixture.call(
          describeGroupsApi,
          describeGroupsHandler(fixture),
          createDescribeGroupsRequest({ groups: ['g'] }),
        )
      ).groups[0]!.errorCode,
      (
        await fixture.call(
          deleteGroupsApi,
          deleteGroupsHandler(fixture),
          createDeleteGroupsRequest({ groupsNames: ['g'] }),
        )
      ).results[0]!.errorCode,
    ]
    expect(new Set(await codes())).toEqual(new Set([ErrorCode.COORDINATOR_NOT_AVAILABLE]))
    fixture.groups.startup()
    expect(new Set(await codes())).toEqual(new Set([ErrorCode.NOT_COORDINATOR, ErrorCode.NONE]))
    fixture.groups.shutdown()
    expect(new Set(await codes())).toEqual(new Set([ErrorCode.COORDINATOR_NOT_AVAILABLE]))
  })

  test('answers waiting joins with NOT_COORDINATOR when it is shut down', async () => {
    const fixture = await CoordinatorFixture.started({ groupInitialRebalanceDelayMs: 10_000 })
    const waiting = fixture.send(joinGroupApi, joinGroupHandler(fixture), joinRequest(), 3)
    fixture.settle()
    fixture.groups.shutdown()
    expect(await waiting).toMatchObject({ errorCode: ErrorCode.NOT_COORDINATOR })
    expect(fixture.timers.pendingCount).toBe(0)
  })

  test('places groups as Kafka does', async () => {
    const fixture = await CoordinatorFixture.started()
    expect(fixture.groups.partitionFor('polygenelubricants')).toBe(0)
    expect(fixture.groups.partitionFor('my-group')).toBe(62 % PARTITION_COUNT)
  })

  test('finds its groups again on the log that it left behind', async () => {
    const fixture = await CoordinatorFixture.started()
    const { join } = await fixture.joinAndSync('group')
    const restarted = await CoordinatorFixture.started(
      {},
      fixture.logs.map((log) => log.crash()),
    )
    const request = createHeartbeatRequest({ groupId: 'group', generationId: 1, memberId: join.memberId })
    expect(await restarted.call(heartbeatApi, heartbeatHandler(restarted), request)).toMatchObject({ errorCode: 0 })
    expect(restarted.faults).toEqual([])
  })
})
