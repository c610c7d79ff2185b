import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startBroker } from '../harness/broker.ts'
import { startCluster } from '../harness/cluster.ts'
import { javaTool } from '../harness/java-tools.ts'
import { createTopic, endOffsets } from '../harness/topics.ts'

/**
 * Goal: rules made by Kafka's own tool hold for Kafka's own clients. Clients are anonymous, so everybody may do what no rule is about: a
 * rule closes its resource for all whom it does not name.
 */

const AUTHORIZER = {
  'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
  'allow.everyone.if.no.acl.found': 'true',
}

/** One node, or three with `E2E_NODES`. */
let service: { readonly bootstrap: string; dispose(): Promise<void> }

beforeAll(async () => {
  const nodeCount = Number(process.env.E2E_NODES ?? 1)
  service = nodeCount > 1 ? await startCluster(AUTHORIZER, { size: nodeCount }) : await startBroker(AUTHORIZER)
}, 180_000)

afterAll(() => service?.dispose())

const server = () => ['--bootstrap-server', service.bootstrap]

const oneNode = () => service.bootstrap.split(',')[0]!

async function acls(...args: string[]): Promise<string> {
  const { stdout, stderr } = await javaTool('acls', [...server(), ...args], { allowExit: [1] })
  return stdout + stderr
}

async function produce(topic: string, line: string): Promise<string> {
  const { stdout, stderr } = await javaTool('console-producer', [...server(), '--topic', topic], { input: `${line}\n` })
  return stdout + stderr
}

async function consume(topic: string, group: string): Promise<string> {
  const args = ['--topic', topic, '--group', group, '--from-beginning', '--max-messages', '1', '--timeout-ms', '20000']
  const { stdout, stderr } = await javaTool('console-consumer', [...server(), ...args], { allowExit: [1] })
  return stdout + stderr
}

describe("Kafka's acls tool", () => {
  it('makes, lists and removes rules', async () => {
    const added = await acls(
      '--add',
      '--allow-principal',
      'User:alice',
      '--producer',
      '--topic',
      'kept-',
      '--resource-pattern-type',
      'prefixed',
    )
    expect(added).toContain('resourceType=TOPIC, name=kept-, patternType=PREFIXED')
    for (const operation of ['WRITE', 'DESCRIBE', 'CREATE']) {
      expect(added).toContain(`(principal=User:alice, host=*, operation=${operation}, permissionType=ALLOW)`)
    }
    await acls(
      '--add',
      '--deny-principal',
      'User:bob',
      '--deny-host',
      '10.0.0.9',
      '--operation',
      'All',
      '--group',
      'kept',
    )
    const listed = await acls('--list')
    expect(listed).toContain('resourceType=TOPIC, name=kept-, patternType=PREFIXED')
    expect(listed).toContain('(principal=User:bob, host=10.0.0.9, operation=ALL, permissionType=DENY)')
    const matching = await acls('--list', '--topic', 'kept-1', '--resource-pattern-type', 'match')
    expect(matching).toContain('name=kept-,')
    expect(matching).not.toContain('User:bob')
    await acls(
      '--remove',
      '--force',
      '--allow-principal',
      'User:alice',
      '--producer',
      '--topic',
      'kept-',
      '--resource-pattern-type',
      'prefixed',
    )
    await acls('--remove', '--force', '--group', 'kept')
    expect(await acls('--list')).not.toContain('kept')
  })
})

describe('rules', () => {
  it('keep out of a topic whom they do not name, until they do', async () => {
    const topic = await createTopic(oneNode())
    expect(await produce(topic, 'one')).not.toContain('Exception')
    await acls('--add', '--allow-principal', 'User:alice', '--operation', 'Read', '--topic', topic)
    expect(await produce(topic, 'two')).toContain('TopicAuthorizationException')
    expect(await consume(topic, 'of-topics')).toContain('TopicAuthorizationException')
    const { stdout } = await javaTool('topics', [...server(), '--list'])
    expect(stdout).not.toContain(topic)
    await acls('--add', '--allow-principal', 'User:ANONYMOUS', '--operation', 'All', '--topic', topic)
    expect(await consume(topic, 'of-topics')).toContain('one')
    expect(await endOffsets(oneNode(), topic)).toEqual([1])
  })

  it('that deny a group to everybody do not touch its topics, and end when they are removed', async () => {
    const topic = await createTopic(oneNode())
    await produce(topic, 'one')
    await acls('--add', '--deny-principal', 'User:*', '--operation', 'Read', '--group', 'denied')
    expect(await consume(topic, 'denied')).toContain('GroupAuthorizationException')
    await acls('--remove', '--force', '--group', 'denied')
    expect(await consume(topic, 'denied')).toContain('one')
  })
})
