import { type Admin, ProtocolError, UnsupportedVersionError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { ExitCode } from '../command/cli-error.ts'
import { runFake } from '../testing/fake-io.ts'

const GROUP_ID_NOT_FOUND = 69
const TOPIC_AUTHORIZATION_FAILED = 29
const UNSUPPORTED_VERSION = 35

const unknownGroup = (groupId: string) => ({
  ...{ groupId, type: 'classic' as const, protocolType: '', state: 'Dead', assignor: '', epoch: null },
  ...{ assignmentEpoch: null, coordinator: 1, members: [], error: new ProtocolError(GROUP_ID_NOT_FOUND) },
})

const member = {
  ...{ memberId: 'm-1', rackId: null, memberEpoch: 4, clientId: 'worker', host: '/10.0.0.1', topics: ['mail'] },
  assignment: [{ topic: 'mail', partition: 1 }],
}

const shareGroup = (groupId: string) => ({
  ...{ groupId, state: 'Stable', groupEpoch: 4, assignmentEpoch: 4, assignor: 'simple', coordinator: 1 },
  ...{ members: [member], error: null },
})

const place = { topic: 'mail', partition: 1 }

/** A cluster in which `queue` is a share group, and nothing else exists. */
function cluster(lag: bigint | null = 3n): { admin: Partial<Admin>; calls: unknown[] } {
  const calls: unknown[] = []
  const admin: Partial<Admin> = {
    describeGroups: (ids) => Promise.resolve(ids.map(unknownGroup)),
    describeShareGroups: (ids) => {
      return Promise.resolve(
        ids.map((id) =>
          id === 'queue' ? shareGroup(id) : { ...shareGroup(id), error: new ProtocolError(GROUP_ID_NOT_FOUND) },
        ),
      )
    },
    listShareGroupOffsets: () => {
      return Promise.resolve([{ ...place, startOffset: 7n, leaderEpoch: 2, lag, error: null }])
    },
    planOffsetReset: (group, partitions, target, options) => {
      calls.push({ group, partitions, target, current: options?.current })
      return Promise.resolve([{ ...place, currentOffset: 7n, newOffset: 0n }])
    },
    alterShareGroupOffsets: (group, changes) => {
      calls.push({ group, changes })
      return Promise.resolve(changes.map(({ topic, partition }) => ({ topic, partition, error: null })))
    },
    deleteShareGroupOffsets: (group, topics) => {
      calls.push({ group, topics })
      return Promise.resolve(topics.map((topic) => ({ topic, error: null })))
    },
  }
  return { admin, calls }
}

describe('share groups', () => {
  test('are described with where they begin and what is left', async () => {
    const { stdout, exitCode } = await runFake(['group', 'describe', 'queue'], { admin: cluster().admin })
    expect(exitCode).toBe(ExitCode.OK)
    expect(stdout).toMatch(/^queue: Stable, share group, epoch 4, 1 member, coordinator 1, total lag 3\n/)
    expect(stdout).toMatch(/TOPIC +PARTITION +START +LAG\nmail +1 +7 +3\n/)
  })

  test('are described with their members', async () => {
    const { stdout } = await runFake(['group', 'describe', 'queue', '--members'], { admin: cluster().admin })
    expect(stdout).toMatch(/m-1 +worker +10\.0\.0\.1 +mail-1 +4\n/)
  })

  test('are JSON in the shape of other groups; a lag that nobody tells is null', async () => {
    const { stdout } = await runFake(['group', 'describe', 'queue', '-o', 'json'], { admin: cluster(null).admin })
    expect(JSON.parse(stdout)).toEqual([
      {
        ...{ group: 'queue', state: 'Stable', type: 'share', protocolType: 'share', assignor: 'simple', epoch: 4 },
        ...{ assignmentEpoch: 4, coordinator: 1, totalLag: null },
        members: [{ memberId: 'm-1', clientId: 'worker', host: '10.0.0.1', partitions: ['mail-1'], epoch: 4 }],
        offsets: [{ topic: 'mail', partition: 1, startOffset: 7, lag: null }],
      },
    ])
  })

  test('beside a group that nobody knows: the exit code says that one is missing', async () => {
    const run = await runFake(['group', 'describe', 'queue', 'nobody'], { admin: cluster().admin })
    expect(run.exitCode).toBe(ExitCode.PARTIAL)
    expect(run.stdout).toContain('queue: Stable')
    expect(run.stdout).not.toContain('nobody')
  })

  test('are shown without the partitions of which nothing is told', async () => {
    const { admin } = cluster()
    const told = { ...place, startOffset: 7n, leaderEpoch: 2, lag: 3n, error: null }
    const error = new ProtocolError(TOPIC_AUTHORIZATION_FAILED, { topic: 'secret', partition: 0 })
    const refused = { topic: 'secret', partition: 0, startOffset: 0n, leaderEpoch: 0, lag: 0n, error }
    admin.listShareGroupOffsets = () => Promise.resolve([told, refused])
    const run = await runFake(['group', 'describe', 'queue'], { admin })
    expect(run.exitCode).toBe(ExitCode.PARTIAL)
    expect(run.stdout).toMatch(/total lag unknown\n/)
    expect(run.stdout).toMatch(/mail +1 +7 +3\nsecret +0 +- +-\n/)
    expect(run.stderr).toContain('TOPIC_AUTHORIZATION_FAILED')
  })

  test('count as unknown groups where brokers do not know such groups', async () => {
    const { admin } = cluster()
    admin.describeShareGroups = () => Promise.reject(new UnsupportedVersionError('ShareGroupDescribe', 'is not served'))
    const run = await runFake(['group', 'describe', 'queue'], { admin })
    expect(run.exitCode).toBe(ExitCode.ERROR)
    expect(run.stderr).toContain('GROUP_ID_NOT_FOUND')
  })

  test('are reset by the places that they begin at', async () => {
    const { admin, calls } = cluster()
    const args = ['group', 'reset', 'queue', '--all-topics', '--to', 'earliest', '--execute']
    const { stdout, exitCode } = await runFake(args, { admin })
    expect(exitCode).toBe(ExitCode.OK)
    expect(stdout).toMatch(/mail +1 +7 +0 +-7 +changed/)
    expect(calls).toEqual([
      { group: 'queue', partitions: [place], target: { to: 'earliest' }, current: [{ ...place, offset: 7n }] },
      { group: 'queue', changes: [{ ...place, offset: 0n }] },
    ])
  })

  test('forget whole topics only', async () => {
    const { admin, calls } = cluster()
    const refused = await runFake(['group', 'delete-offsets', 'queue', '-t', 'mail:1'], { admin })
    expect([refused.exitCode, calls]).toEqual([ExitCode.USAGE, []])
    const done = await runFake(['group', 'delete-offsets', 'queue', '-t', 'mail'], { admin })
    expect(done.exitCode).toBe(ExitCode.OK)
    expect(calls).toEqual([{ group: 'queue', topics: ['mail'] }])
  })

  test('of which one has begun nothing is told so', async () => {
    const { admin, calls } = cluster()
    admin.listShareGroupOffsets = () => Promise.resolve([])
    const run = await runFake(['group', 'reset', 'queue', '--all-topics', '--to', 'earliest', '--execute'], { admin })
    expect([run.exitCode, calls]).toEqual([ExitCode.ERROR, []])
    expect(run.stderr).toContain('share group queue has begun no topic')
  })
})

describe('a group that cannot be described as a share group', () => {
  const REFUSALS: readonly string[][] = [
    ['group', 'describe', 'queue'],
    ['group', 'reset', 'queue', '--all-topics', '--to', 'earliest', '--execute'],
    ['group', 'reset', 'queue', '-t', 'mail', '--to', 'earliest', '--execute'],
    ['group', 'delete-offsets', 'queue', '-t', 'mail'],
  ]

  test.each(REFUSALS.map((args) => [args.slice(1).join(' '), args]))(
    '%s: is refused with what is in the way, and not taken for a consumer group',
    async (_, args) => {
      const { admin, calls } = cluster()
      const error = new ProtocolError(TOPIC_AUTHORIZATION_FAILED, { subject: 'group queue' })
      admin.describeShareGroups = (ids) => Promise.resolve(ids.map((id) => ({ ...shareGroup(id), error })))
      const { exitCode, stderr } = await runFake(args, { admin })
      expect([exitCode, calls]).toEqual([ExitCode.ERROR, []])
      expect(stderr).toContain('TOPIC_AUTHORIZATION_FAILED')
    },
  )

  test.each([GROUP_ID_NOT_FOUND, UNSUPPORTED_VERSION])(
    'is none with error %d: it is reset as any other',
    async (code) => {
      const { admin, calls } = cluster()
      const error = new ProtocolError(code)
      admin.describeShareGroups = (ids) => Promise.resolve(ids.map((id) => ({ ...shareGroup(id), error })))
      admin.listGroupOffsets = () => Promise.resolve([{ ...place, offset: 9n, leaderEpoch: 0, metadata: '' }])
      const run = await runFake(['group', 'reset', 'billing', '--all-topics', '--to', 'earliest'], { admin })
      expect(run.exitCode).toBe(ExitCode.OK)
      expect(calls).toMatchObject([{ group: 'billing', partitions: [place], current: [{ ...place, offset: 9n }] }])
    },
  )
})
