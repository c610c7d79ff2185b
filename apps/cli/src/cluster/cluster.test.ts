import { ProtocolError, TimeoutError, UnsupportedVersionError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { ExitCode } from '../command/cli-error.ts'
import { runFake } from '../testing/fake-io.ts'

const DIRECTORY = 'JEXY6aqzQY-32P5TStzaFg'
const ELECTION_NOT_NEEDED = 84
const REASSIGNMENT_IN_PROGRESS = 60
const STORAGE_ERROR = 56
const LOG_DIR_NOT_FOUND = 57
const GIB = 1024n ** 3n

function replica(nodeId: number, lag = 0n) {
  return {
    nodeId,
    directoryId: DIRECTORY,
    logEndOffset: 100n - lag,
    lag,
    lastFetchMs: -1,
    lastCaughtUpMs: -1,
    listeners: [{ name: 'CONTROLLER', host: `c${nodeId}`, port: 9093 }],
  }
}

const QUORUM = {
  leaderId: 2,
  leaderEpoch: 5,
  highWatermark: 90n,
  voters: [replica(1), replica(2), replica(3, 40n)],
  observers: [replica(4)],
}

/** Topic `t` with these replica lists; all but the brokers in `behind` in sync. */
function fakeCluster(lists: number[][], behind: number[] = []) {
  const brokers = [1, 2, 3, 4].map((nodeId) => {
    return { nodeId, host: `b${nodeId}`, port: 9092, rack: null, isFenced: behind.includes(nodeId) }
  })
  const partitions = lists.map((replicas, partition) => {
    const isr = replicas.filter((nodeId) => !behind.includes(nodeId))
    return { partition, leader: isr[0] ?? -1, leaderEpoch: 0, replicas, isr, offlineReplicas: [] }
  })
  const calls: unknown[][] = []
  const outcomes = (wanted: readonly { topic: string; partition: number }[]) =>
    wanted.map(({ topic, partition }) => ({ topic, partition, error: null }))
  const admin = {
    describeCluster: () => Promise.resolve({ clusterId: 'c', controllerId: 1, brokers } as never),
    describeQuorum: () => Promise.resolve(QUORUM as never),
    listTopics: () => Promise.resolve([{ name: 't' }] as never),
    describeTopics: () => Promise.resolve([{ name: 't', error: null, partitions }] as never),
    alterReassignments: (wanted: never) => {
      calls.push(['move', ...(wanted as unknown[])])
      return Promise.resolve(outcomes(wanted))
    },
    listReassignments: () => Promise.resolve([]),
    electLeaders: (type: string, wanted: never) => {
      calls.push([type, wanted])
      return Promise.resolve([
        { topic: 't', partition: 0, error: null },
        { topic: 't', partition: 1, error: new ProtocolError(ELECTION_NOT_NEEDED) },
      ])
    },
    alterReplicaLogDirs: (wanted: never) => {
      calls.push(['move to', ...(wanted as unknown[])])
      return Promise.resolve(outcomes(wanted) as never)
    },
    describeLogDirs: (options: { timeoutMs?: number }) => {
      // Questions of the status are not what tests of log directories are about.
      if (options.timeoutMs === undefined) calls.push(['describe', options])
      const space = { totalBytes: 100n * GIB, usableBytes: 50n * GIB }
      const one = { topic: 't', partition: 0, sizeBytes: 9n, offsetLag: 0n, isFuture: false }
      return Promise.resolve([
        { nodeId: 1, logDir: '/a', error: null, ...space, partitions: [one] },
        { nodeId: 1, logDir: '/b', error: null, ...space, partitions: [{ ...one, offsetLag: 7n, isFuture: true }] },
        { nodeId: 1, logDir: '/c', error: null, ...space, partitions: [] },
      ] as never)
    },
    addVoter: (voter: unknown) => {
      calls.push(['add', voter])
      return Promise.resolve()
    },
    removeVoter: (voter: unknown) => {
      calls.push(['remove', voter])
      return Promise.resolve()
    },
    unregisterBroker: (nodeId: number) => {
      calls.push(['forget', nodeId])
      return Promise.resolve()
    },
  }
  return { admin, calls }
}

describe('millrace cluster status', () => {
  test('shows who leads how much, who controls, and that all is well', async () => {
    const { admin } = fakeCluster([
      [1, 2],
      [1, 3],
      [2, 1],
    ])
    const run = await runFake(['cluster', 'status'], { admin })
    expect(run.stderr).toBe('')
    expect(run.exitCode).toBe(ExitCode.OK)
    expect(run.stdout).toContain('cluster c: 4 brokers, 3 partitions, 3 controllers, node 2 active\nAll is well.')
    expect(run.stdout).toMatch(/1 +b1:9092 +- +serves +voter +█{12} +2 +3 +0\n/)
    expect(run.stdout).toMatch(/2 +b2:9092 +- +serves +active +█{6}░{6} +1 +2 +0\n/)
    expect(run.stdout).toMatch(/4 +b4:9092 +- +serves +- +░{12} +0 +0 +0\n/)
  })

  test('says what is not well, with exit code 3, also as JSON', async () => {
    const { admin } = fakeCluster([[1, 2], [3]], [3])
    const run = await runFake(['cluster', 'status', '-o', 'json'], { admin })
    expect(run.exitCode).toBe(ExitCode.PARTIAL)
    expect(JSON.parse(run.stdout)).toMatchObject({
      isHealthy: false,
      problems: ['1 broker fenced: 3', '1 partition without a leader', '1 partition with replicas out of sync'],
      quorum: { leaderId: 2, voters: [{ nodeId: 1 }, {}, {}] },
      partitions: 2,
      partitionsWithoutLeader: 1,
      partitionsOutOfSync: 1,
    })
  })

  test('tells of log directories that are offline or full, and of brokers that do not tell, with exit code 3', async () => {
    const { admin } = fakeCluster([[1]])
    const describeLogDirs = ({ nodeIds }: { nodeIds: number[] }) => {
      const nodeId = nodeIds[0]!
      if (nodeId === 4) return Promise.reject(new TimeoutError('no answer', 1))
      const of = (logDir: string, usableBytes: bigint, error: ProtocolError | null = null) => {
        return { nodeId, logDir, error, totalBytes: 100n * GIB, usableBytes, partitions: [] }
      }
      if (nodeId === 1) return Promise.resolve([of('/a', 1n * GIB), of('/b', -1n, new ProtocolError(STORAGE_ERROR))])
      return Promise.resolve([of('/c', nodeId === 2 ? 1024n : 1n * GIB)])
    }
    const run = await runFake(['cluster', 'status', '-o', 'json'], {
      admin: { ...admin, describeLogDirs: describeLogDirs as never },
    })
    expect(run.exitCode).toBe(ExitCode.PARTIAL)
    const { isHealthy, problems, logDirs } = JSON.parse(run.stdout)
    expect(isHealthy).toBe(false)
    expect(problems).toEqual([
      'log directory /b of broker 1 is offline',
      'log directory /c of broker 2 is full',
      'broker 4 does not tell of its log directories (no answer)',
    ])
    expect(logDirs.map(({ broker, directory, state }: Record<string, unknown>) => [broker, directory, state])).toEqual([
      [1, '/a', 'online'],
      [1, '/b', 'offline'],
      [2, '/c', 'full'],
      [3, '/c', 'online'],
    ])
  })

  test('of a broker that dies meanwhile is that of afterwards: it is fenced, not one that does not tell', async () => {
    const before = fakeCluster([[4, 1, 2]])
    const after = fakeCluster([[4, 1, 2]], [4])
    let isDead = false
    const now = () => (isDead ? after : before).admin
    const admin = {
      ...before.admin,
      describeCluster: () => now().describeCluster(),
      describeTopics: () => now().describeTopics(),
      describeLogDirs: ({ nodeIds }: { nodeIds?: readonly number[] }) => {
        if (nodeIds?.[0] !== 4) return Promise.resolve([])
        isDead = true
        return Promise.reject(new TimeoutError('no answer', 10_000))
      },
    }
    const run = await runFake(['cluster', 'status', '-o', 'json'], { admin })
    expect(run.exitCode).toBe(ExitCode.PARTIAL)
    expect(JSON.parse(run.stdout).problems).toEqual(['1 broker fenced: 4', '1 partition with replicas out of sync'])
    expect(JSON.parse(run.stdout).brokers[3]).toMatchObject({ node: 4, state: 'fenced', leads: 0 })
  })

  test('notes a quorum that stands no failure, which is well all the same', async () => {
    const { admin } = fakeCluster([[1]])
    const two = { ...QUORUM, voters: [replica(1), replica(2)] }
    const run = await runFake(['cluster', 'status'], {
      admin: { ...admin, describeQuorum: () => Promise.resolve(two as never) },
    })
    expect(run.exitCode).toBe(ExitCode.OK)
    expect(run.stdout).toContain(
      'All is well.\nNote: the metadata quorum stands no failure: both of its voters must run',
    )
  })

  test('and its neighbours tell a lost quorum from brokers that do not answer', async () => {
    const { admin } = fakeCluster([[1]])
    const unanswered = () => Promise.reject(new TimeoutError('no answer', 1))
    const lost = { ...admin, describeQuorum: unanswered, unregisterBroker: unanswered }
    for (const args of [['status'], ['quorum'], ['remove-voter', '3', '--execute'], ['drain', '4', '--forget']]) {
      const run = await runFake(['cluster', ...args], { admin: lost })
      expect([args[0], run.exitCode]).toEqual([args[0], ExitCode.PARTIAL])
      expect(run.stdout + run.stderr).toContain('no active controller: a majority')
      expect(run.stderr).not.toContain('cannot reach')
    }
    const gone = await runFake(['cluster', 'quorum'], { admin: { ...lost, describeCluster: unanswered } })
    expect(gone.exitCode).toBe(ExitCode.ERROR)
  })

  test('does without a quorum where brokers do not tell of one', async () => {
    const { admin } = fakeCluster([[1]])
    const describeQuorum = () => Promise.reject(new UnsupportedVersionError('DescribeQuorum', 'not served'))
    const run = await runFake(['cluster', 'status'], { admin: { ...admin, describeQuorum } })
    expect(run.exitCode).toBe(ExitCode.OK)
    expect(run.stdout).toContain('cluster c: 4 brokers, 1 partition\n')
  })
})

describe('the quorum', () => {
  test('is shown with how much each has', async () => {
    const { admin } = fakeCluster([])
    const run = await runFake(['cluster', 'quorum'], { admin })
    expect(run.exitCode).toBe(ExitCode.OK)
    expect(run.stdout).toContain('leader: node 2, epoch 5; committed up to 90; 2 of 3 voters must run\n')
    expect(run.stdout).toMatch(/3 +voter +60 +█{7}░{5} +40 +never +c3:9093 +JEXY/)
    expect(run.stdout).toMatch(/4 +observer +100 +█{12} +0/)
  })

  test('gets a voter that follows it already, with all that is known of it', async () => {
    const { admin, calls } = fakeCluster([])
    const run = await runFake(['cluster', 'add-voter', '4'], { admin })
    expect(run.stderr).toContain('Node 4 votes. Of 4 voters, 3 must run.')
    const listeners = [{ name: 'CONTROLLER', host: 'c4', port: 9093 }]
    expect(calls).toEqual([['add', { nodeId: 4, directoryId: DIRECTORY, listeners }]])
  })

  test('is told where a voter is that it does not know', async () => {
    const { admin, calls } = fakeCluster([])
    const unknown = await runFake(['cluster', 'add-voter', '9'], { admin })
    expect([unknown.exitCode, unknown.stderr]).toEqual([ExitCode.ERROR, expect.stringContaining('does not follow')])
    expect((await runFake(['cluster', 'add-voter', '3'], { admin })).stderr).toContain('votes already')
    expect(calls).toEqual([])
    await runFake(['cluster', 'add-voter', '9', '--directory', DIRECTORY, '--address', '[::1]:7'], { admin })
    const listeners = [{ name: 'CONTROLLER', host: '::1', port: 7 }]
    expect(calls).toEqual([['add', { nodeId: 9, directoryId: DIRECTORY, listeners }]])
  })

  test('loses a voter', async () => {
    const { admin, calls } = fakeCluster([])
    const shown = await runFake(['cluster', 'remove-voter', '3'], { admin })
    expect(shown.exitCode).toBe(ExitCode.OK)
    expect(shown.stderr).toContain('Node 3 would vote no more, and 1, 2 would. Of 2 voters, 2 must run.')
    expect(calls).toEqual([])
    const run = await runFake(['cluster', 'remove-voter', '3', '--execute'], { admin })
    expect(run.stderr).toContain('Of 2 voters, 2 must run.')
    expect(calls).toEqual([['remove', { nodeId: 3, directoryId: DIRECTORY }]])
    expect((await runFake(['cluster', 'remove-voter', '4'], { admin })).exitCode).toBe(ExitCode.ERROR)
    const alone = { ...admin, describeQuorum: () => Promise.resolve({ ...QUORUM, voters: [replica(1)] } as never) }
    expect((await runFake(['cluster', 'remove-voter', '1', '--execute'], { admin: alone })).stderr).toContain(
      'only voter',
    )
    expect(calls).toHaveLength(1)
  })
})

describe('moves', () => {
  test('are only shown without --execute', async () => {
    const { admin, calls } = fakeCluster([[1, 2]])
    const run = await runFake(['cluster', 'reassign', 't', '--to', '3,4'], { admin })
    expect(run.exitCode).toBe(ExitCode.OK)
    expect(run.stdout).toMatch(/t +0 +1,2 +3,4\n/)
    expect(run.stderr).toContain('add --execute')
    expect(calls).toEqual([])
  })

  test('go exactly where they are told, for the partitions that are named', async () => {
    const { admin, calls } = fakeCluster([
      [1, 2],
      [2, 1],
    ])
    const run = await runFake(['cluster', 'reassign', 't:1', '--replicas', '3,1', '--execute', '--wait'], { admin })
    expect(run.exitCode).toBe(ExitCode.OK)
    expect(calls).toEqual([['move', { topic: 't', partition: 1, replicas: [3, 1] }]])
    expect(run.stdout).toMatch(/t +1 +2,1 +3,1 +moved\n/)
  })

  test('that are waited for end with what became of each off a terminal, and with a count on one', async () => {
    const { admin } = fakeCluster([[1], [1]])
    const args = ['cluster', 'reassign', '--to', '2', '--execute', '--wait']
    const ending = new AbortController()
    const listReassignments = () => {
      ending.abort()
      return Promise.resolve([{ topic: 't', partition: 1 }] as never)
    }
    const brokenOff = await runFake(args, { admin: { ...admin, listReassignments }, signal: ending.signal })
    expect(brokenOff.exitCode).toBe(ExitCode.INTERRUPTED)
    expect(brokenOff.stdout).toMatch(/t +0 +1 +2 +moved\nt +1 +1 +2 +begun\n/)
    const shown = await runFake(args, { admin, isTty: true })
    expect(shown.stdout).toMatch(/t +0 +1 +2 +begun\n/)
    expect(shown.stderr).toContain('2 of 2 partitions moved.')
  })

  test('that are refused are told, and the rest is done', async () => {
    const { admin } = fakeCluster([[1], [1]])
    const alterReassignments = () =>
      Promise.resolve([
        { topic: 't', partition: 0, error: null },
        { topic: 't', partition: 1, error: new ProtocolError(REASSIGNMENT_IN_PROGRESS, { topic: 't', partition: 1 }) },
      ])
    const args = ['cluster', 'reassign', '--to', '2', '--execute']
    const run = await runFake(args, { admin: { ...admin, alterReassignments } })
    expect(run.exitCode).toBe(ExitCode.PARTIAL)
    expect(run.stdout).toMatch(/begun\n.*failed\n/)
    expect(run.stderr).toContain('--cancel')
  })

  test('to brokers that do not serve, or of partitions that are not, are wrong usage', async () => {
    const { admin } = fakeCluster([[1]])
    for (const args of [
      ['reassign', '--to', '9'],
      ['reassign', 't:7', '--to', '1'],
      ['reassign', '--replicas', '1,1'],
      ['reassign', '-r', '9'],
    ]) {
      expect((await runFake(['cluster', ...args], { admin })).exitCode).toBe(ExitCode.USAGE)
    }
  })

  test('take everything off a broker', async () => {
    const { admin, calls } = fakeCluster([
      [1, 2],
      [2, 3],
      [3, 4],
    ])
    const run = await runFake(['cluster', 'drain', '2', '--execute'], { admin })
    expect(run.exitCode).toBe(ExitCode.OK)
    expect(calls).toEqual([
      ['move', { topic: 't', partition: 0, replicas: [1, 4] }, { topic: 't', partition: 1, replicas: [4, 3] }],
    ])
  })

  test('of which some are impossible end with exit code 3', async () => {
    const { admin } = fakeCluster([[1, 2, 3, 4]])
    const run = await runFake(['cluster', 'drain', '2'], { admin })
    expect(run.exitCode).toBe(ExitCode.PARTIAL)
    expect(run.stderr).toContain('t-0: too few brokers for its 4 replicas')
  })

  test('come before a broker is forgotten', async () => {
    const { admin, calls } = fakeCluster([[1, 2]])
    expect((await runFake(['cluster', 'drain', '2', '--forget'], { admin })).stderr).toContain('still to hold 1')
    expect((await runFake(['cluster', 'drain', '9', '--forget'], { admin })).exitCode).toBe(ExitCode.ERROR)
    expect(calls).toEqual([])
    expect((await runFake(['cluster', 'drain', '4', '--forget'], { admin })).exitCode).toBe(ExitCode.OK)
    expect(calls).toEqual([['forget', 4]])
  })
})

describe('millrace cluster elect', () => {
  test('a leader that leads already is as good as elected', async () => {
    const { admin, calls } = fakeCluster([[1], [1]])
    const run = await runFake(['cluster', 'elect', 't'], { admin })
    expect(run.exitCode).toBe(ExitCode.OK)
    expect(run.stdout).toMatch(/t +0 +elected\nt +1 +leads already\n/)
    expect(calls[0]![0]).toBe('preferred')
  })

  test('unclean ones are held only when asked for', async () => {
    const { admin, calls } = fakeCluster([[1]])
    const run = await runFake(['cluster', 'elect', '--all', '--unclean'], { admin })
    expect(run.stdout).not.toContain('leads already')
    expect(calls).toEqual([['unclean', null]])
  })
})

describe('new-id', () => {
  test('makes up an id that nodes take, and asks nobody', async () => {
    const { exitCode, stdout, clientOptions } = await runFake(['cluster', 'new-id'])
    expect([exitCode, clientOptions]).toEqual([ExitCode.OK, []])
    expect(stdout).toMatch(/^\w[\w-]{21}\n$/)
  })
})

describe('log-dirs', () => {
  test('shows what lies where, and what is being moved', async () => {
    const { admin, calls } = fakeCluster([[1, 2]])
    const run = await runFake(['cluster', 'log-dirs', '--broker', '1', '-o', 'json'], { admin })
    expect(run.exitCode).toBe(ExitCode.OK)
    expect(JSON.parse(run.stdout)).toMatchObject([
      { broker: 1, directory: '/a', topic: 't', partition: 0, state: 'current' },
      { directory: '/b', state: 'moving' },
      { directory: '/c', topic: null, state: 'empty' },
    ])
    expect(calls).toEqual([['describe', { nodeIds: [1] }]])
  })

  test('moves the replicas that the broker has', async () => {
    const { admin, calls } = fakeCluster([
      [1, 2],
      [2, 3],
    ])
    const { exitCode } = await runFake(['cluster', 'log-dirs', 't', '--broker', '1', '--to', '/b'], { admin })
    expect(exitCode).toBe(ExitCode.OK)
    expect(calls).toEqual([['move to', { topic: 't', partition: 0, nodeId: 1, logDir: '/b' }]])
  })

  test('names the directories that there are where the target is none', async () => {
    const { admin } = fakeCluster([[1]])
    const alterReplicaLogDirs = () => {
      const error = new ProtocolError(LOG_DIR_NOT_FOUND, { subject: 'broker 1' })
      return Promise.resolve([{ topic: 't', partition: 0, error }] as never)
    }
    const args = ['cluster', 'log-dirs', 't', '--broker', '1', '--to', 'b']
    const run = await runFake(args, { admin: { ...admin, alterReplicaLogDirs } })
    expect(run.exitCode).toBe(ExitCode.ERROR)
    expect(run.stderr).toContain('absolute path')
    expect(run.stderr).toContain('Broker 1 has /a, /b, /c.')
  })

  test('wants to know which replicas', async () => {
    const { admin } = fakeCluster([[1]])
    for (const args of [
      ['--to', '/b'],
      ['t', '--to', '/b'],
      ['--broker', 'x'],
    ]) {
      expect((await runFake(['cluster', 'log-dirs', ...args], { admin })).exitCode).toBe(ExitCode.USAGE)
    }
  })
})
