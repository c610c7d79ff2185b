import { type Acl, type AclFilter, ProtocolError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { ExitCode } from '../command/cli-error.ts'
import { runFake } from '../testing/fake-io.ts'

const SECURITY_DISABLED = 54
const INVALID_REQUEST = 42
const TOPIC_FORBIDDEN = 29
const CLUSTER_FORBIDDEN = 31

const acl = (init: Partial<Acl> = {}): Acl => ({
  resourceType: 'topic',
  resourceName: 'orders',
  patternType: 'literal',
  principal: 'User:alice',
  host: '*',
  operation: 'read',
  permission: 'allow',
  ...init,
})

describe('millrace acl list', () => {
  const run = async (...args: string[]) => {
    const asked: AclFilter[] = []
    const describeAcls = (filter: AclFilter = {}) => {
      asked.push(filter)
      return Promise.resolve([acl()])
    }
    const result = await runFake(['acl', 'list', ...args], { admin: { describeAcls } })
    return { ...result, asked }
  }

  test('asks for everything, and shows it', async () => {
    const { asked, stdout, exitCode } = await run()
    expect([exitCode, asked]).toEqual([ExitCode.OK, [{}]])
    expect(stdout).toMatch(/RESOURCE +NAME +PATTERN +PRINCIPAL +HOST +PERMISSION +OPERATION/)
    expect(stdout).toMatch(/topic +orders +literal +User:alice +\* +allow +read\n/)
  })

  test('asks for each combination, and shows a rule that several mean once', async () => {
    const { asked, stdout } = await run('-t', 'orders', '-g', 'g', '--operation', 'read,DescribeConfigs', '-o', 'json')
    expect(asked).toEqual([
      { resourceType: 'topic', resourceName: 'orders', operation: 'read' },
      { resourceType: 'topic', resourceName: 'orders', operation: 'describe-configs' },
      { resourceType: 'group', resourceName: 'g', operation: 'read' },
      { resourceType: 'group', resourceName: 'g', operation: 'describe-configs' },
    ])
    expect(JSON.parse(stdout)).toEqual([acl()])
  })

  test('passes patterns, principals, hosts and permissions on', async () => {
    expect((await run('--topic', 'o', '--match', '--deny')).asked).toEqual([
      { resourceType: 'topic', resourceName: 'o', patternType: 'match', permission: 'deny' },
    ])
    expect((await run('--prefixed', '--principal', 'User:a', '--host', '10.0.0.1', '--allow')).asked).toEqual([
      { patternType: 'prefixed', principal: 'User:a', host: '10.0.0.1', permission: 'allow' },
    ])
    expect((await run('--cluster')).asked).toEqual([{ resourceType: 'cluster', resourceName: 'kafka-cluster' }])
  })

  test('says what to do where there is no authorizer', async () => {
    const describeAcls = () => Promise.reject(new ProtocolError(SECURITY_DISABLED))
    const result = await runFake(['acl', 'list'], { admin: { describeAcls } })
    expect(result.exitCode).toBe(ExitCode.ERROR)
    expect(result.stderr).toContain('authorizer.class.name')
  })
})

describe('millrace acl add', () => {
  const run = async (...args: string[]) => {
    const created: Acl[] = []
    const createAcls = (acls: readonly Acl[]) => {
      created.push(...acls)
      const error = (one: Acl) => (one.resourceName === 'bad' ? new ProtocolError(INVALID_REQUEST) : null)
      return Promise.resolve(acls.map((one) => ({ ...one, error: error(one) })))
    }
    const describeAcls = () => Promise.resolve([acl({ resourceType: 'cluster' })])
    const result = await runFake(['acl', 'add', ...args], { admin: { createAcls, describeAcls } })
    return { ...result, created }
  }

  test('makes a rule for each resource, operation, principal and host', async () => {
    const { created, exitCode, stdout } = await run('User:alice', '-t', 'orders', '--operation', 'read')
    expect([exitCode, created]).toEqual([ExitCode.OK, [acl()]])
    expect(stdout).toMatch(/read +added\n/)
    const many = await run(
      'User:a',
      'User:b',
      '-t',
      'x',
      '-t',
      'y',
      '--operation',
      'read,write',
      '--host',
      'h',
      '--deny',
    )
    expect(many.created).toHaveLength(8)
    expect(new Set(many.created.map(({ permission, host }) => `${permission} ${host}`))).toEqual(new Set(['deny h']))
  })

  test('knows what producers and consumers need', async () => {
    const needs = ({ created }: { created: Acl[] }) =>
      created.map(({ resourceType, patternType, operation }) => `${resourceType} ${patternType} ${operation}`)
    expect(needs(await run('User:a', '-t', 'o', '--transactional-id', 'x', '--prefixed', '--producer'))).toEqual([
      'topic prefixed write',
      'topic prefixed describe',
      'topic prefixed create',
      'transactional-id prefixed write',
      'transactional-id prefixed describe',
    ])
    expect(needs(await run('User:a', '-t', 'o', '-g', 'g', '--consumer'))).toEqual([
      'topic literal read',
      'topic literal describe',
      'group literal read',
    ])
    const [cluster] = needs(await run('User:a', '--cluster', '--prefixed', '--operation', 'alter'))
    expect(cluster).toBe('cluster literal alter')
  })

  test('whoever loses the right to change rules by it, or may, is warned', async () => {
    const add = async (host: string, rules: Acl[], refusal: ProtocolError | null) => {
      let callCount = 0
      const createAcls = (acls: readonly Acl[]) =>
        Promise.resolve(acls.map((one) => ({ ...one, error: callCount++ === 0 ? null : refusal })))
      const describeAcls = () => Promise.resolve(rules)
      const args = ['acl', 'add', 'User:ANONYMOUS', '--cluster', '--operation', 'alter', '--host', host]
      const result = await runFake(args, { admin: { createAcls, describeAcls } })
      expect(result.exitCode).toBe(ExitCode.OK)
      return result.stderr
    }
    const known = [acl({ resourceType: 'cluster' })]
    expect(await add('10.0.0.7', known, new ProtocolError(CLUSTER_FORBIDDEN))).toContain('take your own right away')
    expect(await add('10.0.0.7', [], null)).toContain('the first rules about the cluster')
    expect(await add('10.0.0.7', known, null)).toBe('')
    expect(await add('*', [], null)).toBe('')
  })

  test('some that fail are told, and the rest is done', async () => {
    const { exitCode, stdout } = await run('User:a', '-t', 'good', '-t', 'bad', '--operation', 'all')
    expect(exitCode).toBe(ExitCode.PARTIAL)
    expect(stdout).toMatch(/good.*added\n.*bad.*failed\n/)
  })

  test.each([
    [['alice', '-t', 'o', '--operation', 'read'], 'User:alice'],
    [['User:a', '--operation', 'read'], 'with what'],
    [['User:a', '-t', 'o'], 'which operations on topic o'],
    [['User:a', '-g', 'g', '--producer'], 'which operations on group g'],
    [['User:a', '-t', 'o', '--operation', 'fly'], 'no operation'],
    [[], 'principals'],
  ])('%s is wrong usage', async (args, words) => {
    const { created, exitCode, stderr } = await run(...args)
    expect([exitCode, created]).toEqual([ExitCode.USAGE, []])
    expect(stderr).toContain(words)
  })
})

test('a refusal says once what is refused, and what shows the rules', async () => {
  const refused = new ProtocolError(TOPIC_FORBIDDEN, { topic: 'orders' })
  const producer = { partitionCount: () => Promise.reject(refused), flush: () => Promise.resolve() }
  const { stderr } = await runFake(['produce', 'orders', 'x'], { producer })
  expect(stderr).toContain('"millrace acl list --topic orders --match"')
  expect(stderr).toContain('User:ANONYMOUS')
  expect(stderr).not.toContain('may not use')
})

describe('millrace acl remove', () => {
  const run = async (args: string[], deleted: Acl[] = [acl()]) => {
    const asked: AclFilter[] = []
    const deleteAcls = (filters: readonly AclFilter[]) => {
      asked.push(...filters)
      return Promise.resolve(filters.map((filter) => ({ filter, deleted, error: null })))
    }
    const result = await runFake(['acl', 'remove', ...args], { admin: { deleteAcls } })
    return { ...result, asked }
  }

  test('takes away what is meant, and shows it once', async () => {
    const { asked, exitCode, stdout } = await run(['-t', 'orders', '--operation', 'read,all'])
    expect(exitCode).toBe(ExitCode.OK)
    expect(asked).toHaveLength(2)
    expect(stdout.match(/User:alice/g)).toHaveLength(1)
  })

  test('everything only with --all, and --all with nothing else', async () => {
    expect(await run([])).toMatchObject({ exitCode: ExitCode.USAGE, asked: [] })
    expect(await run(['--all', '-t', 'x'])).toMatchObject({ exitCode: ExitCode.USAGE, asked: [] })
    expect(await run(['--all'])).toMatchObject({ exitCode: ExitCode.OK, asked: [{}] })
  })

  test('that is refused is told as that alone', async () => {
    const error = new ProtocolError(CLUSTER_FORBIDDEN)
    const deleteAcls = (filters: readonly AclFilter[]) =>
      Promise.resolve(filters.map((filter) => ({ filter, deleted: [], error })))
    const { exitCode, stdout, stderr } = await runFake(['acl', 'remove', '--all'], { admin: { deleteAcls } })
    expect([exitCode, stdout]).toEqual([ExitCode.ERROR, ''])
    expect(stderr).toContain('CLUSTER_AUTHORIZATION_FAILED')
    expect(stderr).not.toContain('no rule is meant')
  })

  test('that nothing is meant is a failure', async () => {
    const { exitCode, stderr } = await run(['-t', 'x'], [])
    expect(exitCode).toBe(ExitCode.ERROR)
    expect(stderr).toContain('no rule is meant')
  })

  test.each([
    [['--match']],
    [['-t', 'x', '--match', '--prefixed']],
    [['-t', 'x', '--allow', '--deny']],
    [['--principal', 'alice']],
  ])('%s is wrong usage', async (args) => {
    expect(await run(args)).toMatchObject({ exitCode: ExitCode.USAGE, asked: [] })
  })
})
