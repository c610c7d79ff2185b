import { ConnectionError, ProtocolError, TimeoutError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { parseResource } from '../config/config-commands.ts'
import { parseTarget, parseTopicPartitions } from '../group/reset-group.ts'
import { runFake } from '../testing/fake-io.ts'
import { parseAssignment } from '../topic/create-topic.ts'
import { ExitCode } from './cli-error.ts'
import { commandTable } from './command-table.ts'

const UNKNOWN_TOPIC = 3
const TOO_LARGE = 10
const TOPIC_EXISTS = 36
const LISTING = [
  { name: 'orders', topicId: 'id-1', isInternal: false, partitions: 3, replicationFactor: 1 },
  { name: 'users', topicId: 'id-2', isInternal: false, partitions: 1, replicationFactor: 1 },
] as never

describe('every command', () => {
  const commandLines = [
    ...commandTable.map(({ name }) => [name]),
    ...['create', 'list', 'describe', 'alter', 'delete'].map((name) => ['topic', name]),
    ...['list', 'describe', 'reset', 'delete', 'delete-offsets'].map((name) => ['group', name]),
    ...['status', 'quorum', 'add-voter', 'remove-voter', 'reassign', 'elect', 'drain', 'log-dirs', 'new-id'].map(
      (name) => ['cluster', name],
    ),
    ...['describe', 'set', 'delete'].map((name) => ['config', name]),
    ...['list', 'add', 'remove'].map((name) => ['acl', name]),
    ...['produce', 'consume', 'latency'].map((name) => ['perf', name]),
  ]

  test.each(commandLines)('%s %s explains itself', async (...words) => {
    const run = await runFake([...words, '--help'])
    expect(run.exitCode).toBe(ExitCode.OK)
    expect(run.stderr).toBe('')
    expect(run.stdout).toContain(`millrace ${words.join(' ')}`)
    const holdsCommands = run.stdout.includes('Commands:')
    if (!holdsCommands) {
      expect(run.stdout).toMatch(/Examples:\n {2}millrace /)
      expect(run.stdout).toContain('-b, --bootstrap-server <list>')
    }
  })

  test('the outermost help names all commands, start included', async () => {
    const run = await runFake(['--help'])
    for (const { name, summary } of commandTable) {
      expect(run.stdout).toContain(name)
      expect(run.stdout.replace(/\s+/g, ' ')).toContain(summary)
    }
    expect(run.stdout).toContain('start')
  })
})

describe('wrong usage', () => {
  test.each([
    [[]],
    [['nonsense']],
    [['topic']],
    [['topic', 'nonsense']],
    [['topic', 'create']],
    [['topic', 'list', '--nonsense']],
    [['topic', 'list', '-o', 'xml']],
    [['topic', 'list', '--timeout', 'soon']],
    [['topic', 'create', 'a', '-p', '0']],
    [['topic', 'create', 'a', '-p', '1', '--replica-assignment', '1']],
    [['topic', 'create', 'a', '-c', 'x']],
    [['topic', 'alter', 'a']],
    [['topic', 'describe', '/(/']],
    [['group', 'reset', 'g', '--to', 'earliest']],
    [['group', 'reset', 'g', '--all-topics']],
    [['config', 'set', 'topic', 'a']],
    [['config', 'describe', 'planet', 'earth']],
    [['perf', 'produce', 't', '--acks', '2']],
    [['group', 'describe']],
    [['group', 'list', '--state', 'Bogus']],
    [['group', 'list', '--type', 'bogus']],
    [['cluster', 'add-voter', 'x']],
    [['cluster', 'add-voter', '4', '--directory', 'short']],
    [['cluster', 'add-voter', '4', '--address', 'nowhere']],
    [['cluster', 'reassign']],
    [['cluster', 'reassign', '--to', '1', '--list']],
    [['cluster', 'elect']],
    [['cluster', 'elect', 'orders', '--all']],
    [['cluster', 'drain']],
    [['-o', 'json', 'start', '--port', '0']],
  ])('%j ends with exit code 2', async (args) => {
    const run = await runFake(args, { admin: { listTopics: () => Promise.resolve(LISTING) } })
    expect(run.exitCode).toBe(ExitCode.USAGE)
    expect(run.stdout).toBe('')
    expect(run.stderr).not.toBe('')
  })
})

describe('options of all commands', () => {
  const admin = { listTopics: () => Promise.resolve(LISTING) }

  test('the cluster comes from the option, else from the environment, else it is the local one', async () => {
    const byOption = await runFake(['topic', 'list', '-b', 'a:1'], {
      admin,
      env: { MILLRACE_BOOTSTRAP_SERVERS: 'b:2' },
    })
    expect(byOption.clientOptions).toMatchObject([{ bootstrapServers: 'a:1' }])
    const before = await runFake(['--bootstrap-server', 'a:1', 'topic', 'list'], { admin })
    expect(before.clientOptions).toMatchObject([{ bootstrapServers: 'a:1' }])
    const byEnvironment = await runFake(['topic', 'list'], { admin, env: { MILLRACE_BOOTSTRAP_SERVERS: 'b:2' } })
    expect(byEnvironment.clientOptions).toMatchObject([{ bootstrapServers: 'b:2' }])
    const byDefault = await runFake(['topic', 'list', '--timeout', '2m'], { admin })
    expect(byDefault.clientOptions).toMatchObject([
      { bootstrapServers: '127.0.0.1:9092', defaultApiTimeoutMs: 120_000 },
    ])
  })

  test('output is a table, JSON or YAML', async () => {
    const table = await runFake(['topic', 'list'], { admin })
    expect(table.stdout).toBe(
      'TOPIC   PARTITIONS  REPLICAS\norders           3         1\nusers            1         1\n',
    )
    const json = await runFake(['topic', 'list', '-o', 'json', '^u'], { admin })
    expect(JSON.parse(json.stdout)).toEqual([
      { topic: 'users', partitions: 1, replicationFactor: 1, isInternal: false, topicId: 'id-2' },
    ])
    const yaml = await runFake(['topic', 'list', '-o', 'yaml', '^u'], { admin })
    expect(yaml.stdout).toBe(
      '- topic: users\n  partitions: 1\n  replicationFactor: 1\n  isInternal: false\n  topicId: id-2\n',
    )
  })
})

describe('failures', () => {
  test('a broker that cannot be reached is named, with what to do', async () => {
    const refused = new ConnectionError('CONNECTION_FAILED', 'a', 1, 'ECONNREFUSED')
    const listTopics = () =>
      Promise.reject(new TimeoutError('listing topics did not succeed', 1000, { cause: refused }))
    const run = await runFake(['topic', 'list', '-b', 'a:1'], { admin: { listTopics } })
    expect(run.exitCode).toBe(ExitCode.ERROR)
    expect(run.stderr).toBe(
      'millrace: cannot reach a:1: ECONNREFUSED (a:1)\n' +
        '  Is a broker running there? Name another with --bootstrap-server HOST:PORT, or start one with "millrace start".\n',
    )
  })

  test('some of several things failed: exit code 3, and what failed is told', async () => {
    const createTopics = () =>
      Promise.resolve([
        { name: 'new', topicId: 'id', partitions: 1, replicationFactor: 1, error: null },
        {
          name: 'old',
          topicId: 'id',
          partitions: -1,
          replicationFactor: -1,
          error: new ProtocolError(TOPIC_EXISTS, { topic: 'old' }),
        },
      ] as never)
    const partly = await runFake(['topic', 'create', 'new', 'old'], { admin: { createTopics } })
    expect(partly.exitCode).toBe(ExitCode.PARTIAL)
    expect(partly.stderr).toContain('old: ')
    expect(partly.stderr).toContain('--if-not-exists')
    const allowed = await runFake(['topic', 'create', 'new', 'old', '--if-not-exists'], { admin: { createTopics } })
    expect(allowed).toMatchObject({ exitCode: ExitCode.OK, stderr: '' })
    expect(allowed.stdout).toMatch(/old +exists/)
  })

  test('everything failed: exit code 1', async () => {
    const deleteTopics = () =>
      Promise.resolve([{ name: 'a', topicId: 'id', error: new ProtocolError(UNKNOWN_TOPIC, { topic: 'a' }) }] as never)
    const failed = await runFake(['topic', 'delete', 'a'], { admin: { deleteTopics } })
    expect(failed.exitCode).toBe(ExitCode.ERROR)
    const absent = await runFake(['topic', 'delete', 'a', '--if-exists'], { admin: { deleteTopics } })
    expect(absent.exitCode).toBe(ExitCode.OK)
  })

  test('Ctrl-C does not wait for a broker that does not answer', async () => {
    const ending = new AbortController()
    const pending = Promise.withResolvers<never>()
    const admin = {
      listTopics: () => {
        setImmediate(() => ending.abort())
        return pending.promise
      },
      close: () => Promise.resolve(pending.reject(new Error('closed'))),
    }
    const run = await runFake(['topic', 'list'], { admin, signal: ending.signal })
    expect(run).toMatchObject({ exitCode: ExitCode.INTERRUPTED, stderr: '' })
  })

  test('a command that Ctrl-C broke off ends with 130 and says nothing', async () => {
    const ending = new AbortController()
    const listTopics = () => {
      ending.abort()
      return Promise.reject(new Error('closed'))
    }
    const run = await runFake(['topic', 'list'], { admin: { listTopics }, signal: ending.signal })
    expect(run).toMatchObject({ exitCode: ExitCode.INTERRUPTED, stdout: '', stderr: '' })
  })
})

describe('millrace topic', () => {
  test('a pattern between slashes names all topics that it matches whole', async () => {
    const deleted: string[] = []
    const admin = {
      listTopics: () => Promise.resolve(LISTING),
      deleteTopics: (names: readonly unknown[]) => {
        deleted.push(...(names as string[]))
        return Promise.resolve([] as never)
      },
    }
    await runFake(['topic', 'delete', '/order/'], { admin })
    expect(deleted).toEqual([])
    await runFake(['topic', 'delete', '/order.*/', 'x'], { admin })
    expect(deleted).toEqual(['orders', 'x'])
    const preview = await runFake(['topic', 'delete', '/.*/', '--dry-run'], { admin })
    expect(preview.stdout).toContain('users')
    expect(deleted).toEqual(['orders', 'x'])
  })

  test('describe shows partitions with offsets, and --unhealthy what needs care', async () => {
    const partition = (number: number, isr: number[]) => {
      const elr = isr.length === 1 ? [2] : []
      return {
        partition: number,
        leader: 1,
        leaderEpoch: 0,
        replicas: [1, 2],
        isr,
        elr,
        lastKnownElr: [],
        offlineReplicas: [],
      }
    }
    const admin = {
      listTopics: () => Promise.resolve(LISTING),
      describeTopics: () =>
        Promise.resolve([
          {
            name: 'orders',
            topicId: 'id',
            isInternal: false,
            error: null,
            partitions: [partition(0, [1, 2]), partition(1, [1])],
          },
        ] as never),
      describeConfigs: () =>
        Promise.resolve([
          {
            type: 'topic',
            name: 'orders',
            error: null,
            entries: [{ name: 'retention.ms', value: '5', source: 'topic' }],
          },
        ] as never),
      listOffsets: (questions: readonly { topic: string; partition: number; spec: unknown }[]) =>
        Promise.resolve(
          questions.map(({ topic, partition: number, spec }) => ({
            topic,
            partition: number,
            offset: spec === 'latest' ? 9n : 4n,
          })) as never,
        ),
      describeLogDirs: ({ nodeIds }: { nodeIds?: readonly number[] } = {}) =>
        Promise.resolve([
          {
            nodeId: nodeIds![0],
            error: null,
            partitions: [{ topic: 'orders', partition: 1, offsetLag: 3n, isFuture: false }],
          },
        ] as never),
    }
    const run = await runFake(['topic', 'describe', 'orders'], { admin })
    expect(run.exitCode).toBe(ExitCode.OK)
    expect(run.stdout).toContain('orders: 2 partitions, 2 replicas, 10 offsets in use')
    expect(run.stdout).toContain('retention.ms=5')
    expect(run.stdout).toMatch(/PARTITION +LEADER +EPOCH +REPLICAS +IN SYNC +ELIGIBLE +LAG +START +END +RECORDS\n/)
    expect(run.stdout).toMatch(/1 +1 +0 +1,2 +1 +2 +3 +4 +9 +5\n/)
    const unhealthy = await runFake(['topic', 'describe', '--unhealthy', '-o', 'json'], { admin })
    expect(unhealthy.exitCode).toBe(ExitCode.PARTIAL)
    expect(JSON.parse(unhealthy.stdout)[0].partitions).toMatchObject([{ elr: [2], lag: 3, lags: { 2: 3 } }])
  })

  test('describe leaves out what it was not told: followers that do not answer, columns without a value', async () => {
    const partition = {
      partition: 0,
      leader: 1,
      leaderEpoch: 0,
      replicas: [1, 2],
      isr: [1, 2],
      elr: null,
      lastKnownElr: null,
    }
    const admin = {
      describeTopics: () =>
        Promise.resolve([
          { name: 'orders', topicId: 'id', error: null, partitions: [{ ...partition, offlineReplicas: [] }] },
        ] as never),
      describeConfigs: () => Promise.resolve([]),
      listOffsets: () => Promise.resolve([{ offset: 0n }, { offset: 1n }] as never),
      describeLogDirs: () => Promise.reject(new TimeoutError('no answer', 1)),
    }
    const run = await runFake(['topic', 'describe', 'orders'], { admin })
    expect(run.exitCode).toBe(ExitCode.OK)
    expect(run.stdout).not.toMatch(/ELIGIBLE|LAG/)
    expect(run.stdout).toMatch(/0 +1 +0 +1,2 +1,2 +0 +1 +1\n/)
  })

  test('replica assignments are read by partition', () => {
    expect(parseAssignment('1:2,2:3')).toEqual([
      [1, 2],
      [2, 3],
    ])
    expect(() => parseAssignment('1:x')).toThrow(expect.objectContaining({ exitCode: ExitCode.USAGE }))
  })
})

describe('millrace group reset', () => {
  const nowMs = Date.UTC(2026, 10, 21)
  const plan = [{ topic: 't', partition: 0, currentOffset: 5n, newOffset: 2n }]

  test('shows the plan and changes nothing without --execute', async () => {
    const altered: unknown[] = []
    const admin = {
      describeShareGroups: () => Promise.resolve([]),
      listGroupOffsets: () => Promise.resolve([{ topic: 't', partition: 0, offset: 5n, leaderEpoch: 0, metadata: '' }]),
      planOffsetReset: () => Promise.resolve(plan),
      alterGroupOffsets: (_group: string, offsets: readonly unknown[]) => {
        altered.push(...offsets)
        const done = (offsets as { topic: string; partition: number }[]).map((one) => ({ ...one, error: null }))
        return Promise.resolve(done)
      },
    }
    const dry = await runFake(['group', 'reset', 'g', '--all-topics', '--to', '-3'], { admin })
    expect(dry.stdout).toMatch(/t +0 +5 +2 +-3/)
    expect(dry.stderr).toContain('--execute')
    expect(altered).toEqual([])
    const done = await runFake(['group', 'reset', 'g', '--all-topics', '--to', '-3', '--execute'], { admin })
    expect(done.exitCode).toBe(ExitCode.OK)
    expect(altered).toEqual([{ topic: 't', partition: 0, offset: 2n }])
    expect(done.stdout).toContain('changed')
  })

  test('places are words, offsets, distances and times', () => {
    expect(parseTarget('earliest', nowMs)).toEqual({ to: 'earliest' })
    expect(parseTarget('17', nowMs)).toEqual({ toOffset: 17n })
    expect(parseTarget('+5', nowMs)).toEqual({ shiftBy: 5n })
    expect(parseTarget('-5', nowMs)).toEqual({ shiftBy: -5n })
    expect(parseTarget('-1h', nowMs)).toEqual({ toTimestamp: nowMs - 3_600_000 })
    expect(() => parseTarget('back', nowMs)).toThrow(expect.objectContaining({ exitCode: ExitCode.USAGE }))
    expect(parseTopicPartitions('a:0,2-3')).toEqual({ topic: 'a', partitions: [0, 2, 3] })
    expect(parseTopicPartitions('a')).toEqual({ topic: 'a', partitions: null })
  })
})

describe('millrace group delete-offsets', () => {
  const admin = {
    describeShareGroups: () => Promise.resolve([]),
    listGroupOffsets: () => Promise.resolve([{ topic: 't', partition: 0, offset: 5n, leaderEpoch: 0, metadata: '' }]),
    deleteGroupOffsets: (_group: string, places: readonly { topic: string; partition: number }[]) =>
      Promise.resolve(places.map((place) => ({ ...place, error: null }))),
  }

  test('a topic that the group never committed is told, not passed over', async () => {
    const none = await runFake(['group', 'delete-offsets', 'g', '-t', 'mistyped'], { admin })
    expect(none.exitCode).toBe(ExitCode.ERROR)
    expect(none.stderr).toContain('group g has committed nothing for mistyped')
    const some = await runFake(['group', 'delete-offsets', 'g', '-t', 't', '-t', 't:7'], { admin })
    expect(some.exitCode).toBe(ExitCode.PARTIAL)
    expect(some.stdout).toMatch(/t +0 +deleted/)
    expect(some.stderr).toContain('nothing for t:7')
    const all = await runFake(['group', 'delete-offsets', 'g', '-t', 't'], { admin })
    expect(all).toMatchObject({ exitCode: ExitCode.OK, stderr: '' })
  })
})

describe('millrace config', () => {
  test('resources are two words, the cluster is one', () => {
    expect(parseResource(['topic', 'a', 'k=v'])).toEqual({ resource: { type: 'topic', name: 'a' }, rest: ['k=v'] })
    expect(parseResource(['cluster', 'k=v'])).toEqual({ resource: { type: 'broker', name: '' }, rest: ['k=v'] })
    expect(() => parseResource(['topic'])).toThrow(expect.objectContaining({ exitCode: ExitCode.USAGE }))
  })

  test('describe leaves defaults out unless asked, and hides secrets', async () => {
    const entry = (name: string, source: string, isSensitive = false) => {
      return {
        name,
        value: isSensitive ? null : 'v',
        source,
        type: 'string',
        readOnly: false,
        isSensitive,
        documentation: `about ${name}`,
        synonyms: [],
      }
    }
    const entries = [entry('a', 'default'), entry('b', 'topic'), entry('secret', 'static-broker', true)]
    const admin = {
      describeConfigs: () => Promise.resolve([{ type: 'topic', name: 't', error: null, entries }] as never),
    }
    const some = await runFake(['config', 'describe', 'topic', 't'], { admin })
    expect(some.stdout).not.toMatch(/^a /m)
    expect(some.stdout).toMatch(/^b +v +topic/m)
    expect(some.stdout).toMatch(/^secret +\(hidden\)/m)
    const all = await runFake(['config', 'describe', 'topic', 't', '--all', '--docs'], { admin })
    expect(all.stdout).toContain('about a')
  })

  test('settings that are asked for by name and do not exist are told', async () => {
    const entry = { name: 'a', value: '1', source: 'topic', type: 'int', isSensitive: false, synonyms: [] }
    const describe = (entries: object[]) => {
      return { describeConfigs: () => Promise.resolve([{ type: 'topic', name: 't', error: null, entries }] as never) }
    }
    const partly = await runFake(['config', 'describe', 'topic', 't', 'a', 'b'], { admin: describe([entry]) })
    expect(partly.exitCode).toBe(ExitCode.PARTIAL)
    expect(partly.stderr).toMatch(/^millrace: no such setting: b\n/)
    const none = await runFake(['config', 'describe', 'topic', 't', 'b'], { admin: describe([]) })
    expect(none.exitCode).toBe(ExitCode.ERROR)
  })

  test('a resource that does not exist is an error and no empty table', async () => {
    const error = new ProtocolError(UNKNOWN_TOPIC, { subject: 'topic t' })
    const describeConfigs = () => Promise.resolve([{ type: 'topic', name: 't', error, entries: [] }] as never)
    const run = await runFake(['config', 'describe', 'topic', 't'], { admin: { describeConfigs } })
    expect(run).toMatchObject({ exitCode: ExitCode.ERROR, stdout: '' })
  })

  test('who asks for compaction is told that nothing comes of it yet', async () => {
    const admin = {
      alterConfigs: () => Promise.resolve([{ type: 'topic', name: 't', error: null }] as never),
      createTopics: (wanted: readonly object[]) => {
        return Promise.resolve(
          wanted.map((one) => ({ ...one, error: null, partitions: 1, replicationFactor: 1 })) as never,
        )
      },
    }
    for (const args of [
      ['config', 'set', 'topic', 't', 'cleanup.policy=delete,compact'],
      ['topic', 'create', 't', '-c', 'cleanup.policy=compact'],
    ]) {
      const { exitCode, stderr } = await runFake(args, { admin })
      expect(exitCode).toBe(ExitCode.OK)
      expect(stderr).toMatch(/^millrace: warning: cleanup\.policy=\S*compact is kept, but .* compact nothing/)
    }
    const plain = await runFake(['config', 'set', 'topic', 't', 'cleanup.policy=delete'], { admin })
    expect(plain.stderr).toBe('')
  })

  test('set, append and delete are told to the broker as such', async () => {
    const changes: { operations: unknown[] }[] = []
    const admin = {
      alterConfigs: (given: readonly { operations: readonly unknown[] }[]) => {
        changes.push(...(given as { operations: unknown[] }[]))
        return Promise.resolve([{ type: 'topic', name: 't', error: null }] as never)
      },
    }
    await runFake(['config', 'set', 'topic', 't', 'a=1', 'b=2'], { admin })
    await runFake(['config', 'set', 'topic', 't', 'l=x', '--append'], { admin })
    await runFake(['config', 'delete', 'topic', 't', 'a'], { admin })
    expect(changes.flatMap(({ operations }) => operations)).toEqual([
      { op: 'set', name: 'a', value: '1' },
      { op: 'set', name: 'b', value: '2' },
      { op: 'append', name: 'l', value: 'x' },
      { op: 'delete', name: 'a' },
    ])
  })
})

describe('millrace perf', () => {
  test('records as large as asked for are sent, and why some were not stored is told', async () => {
    let onDeliveryError: (error: unknown, topic: string, partition: number, recordCount: number) => void
    const run = await runFake(['perf', 'produce', 't', '-s', '2MiB', '-n', '2'], {
      producer: {
        ready: () => Promise.resolve(),
        send: () => Promise.resolve({} as never),
        post: () => true,
        flush: () => Promise.resolve(onDeliveryError(new ProtocolError(TOO_LARGE, { topic: 't' }), 't', 0, 1)),
      },
      onClient: (options) => {
        onDeliveryError = (options as { onDeliveryError: typeof onDeliveryError }).onDeliveryError
      },
    })
    expect(run.clientOptions).toMatchObject([{ maxRequestSize: 2 * 2 ** 20 + 1024 }])
    expect(run.exitCode).toBe(ExitCode.PARTIAL)
    expect(run.stdout).toMatch(/^1 records, 2\.0 MiB in .*, 1 FAILED/)
    expect(run.stderr).toMatch(/^millrace: t: .*MESSAGE_TOO_LARGE/)
  })
})
