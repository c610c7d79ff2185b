import { ControllerUnavailableError } from '@millrace/consensus'
import { apiVersionsApi, createApiVersionsRequest } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { ask, HOST, HttpProbe, until } from './http-probe.ts'
import { requestFrame, TestClient } from './test-client.ts'
import { WaitingBroker } from './waiting-broker.ts'

/** Goal: a broker that waits for its cluster tells what it waits for, and lets Kafka's clients wait without keeping what they send. */

const HEALTH = ['GET /healthz HTTP/1.1', HOST]
const request = createApiVersionsRequest({ clientSoftwareName: 'test', clientSoftwareVersion: '1.0' })
const frame = requestFrame(apiVersionsApi, 3, request)

/** Status and body of `/healthz`. */
async function healthOf(waiting: WaitingBroker): Promise<{ status: number | undefined; body: unknown }> {
  const probe = await ask(waiting.connect(), ...HEALTH, 'Connection: close')
  await until(() => probe.socket.isClosed)
  return { status: probe.statuses[0], body: JSON.parse(probe.text.slice(probe.text.indexOf('\r\n\r\n'))) }
}

async function metricsOf(waiting: WaitingBroker): Promise<string> {
  const probe = await ask(waiting.connect(), 'GET /metrics HTTP/1.1', HOST, 'Connection: close')
  await until(() => probe.socket.isClosed)
  expect(probe.statuses).toEqual([200])
  return probe.text
}

function beginningOf(answer: Buffer): string {
  return answer.toString('hex', 0, 6)
}

/** Lets everything happen that needs no time. */
async function idle(): Promise<void> {
  for (let turn = 0; turn < 24; turn++) await new Promise((resolve) => setImmediate(resolve))
}

describe('a broker that waits, over HTTP', () => {
  it('says at /healthz what it waits for, step by step, until it is ready', () =>
    WaitingBroker.run({}, async (waiting) => {
      const { controller } = waiting
      expect(await healthOf(waiting)).toEqual({
        status: 503,
        body: {
          status: 'starting',
          waitsFor: 'a majority of the controllers (1, 2, 3); not connected: 2, 3',
          nodeId: 1,
          clusterId: 'cluster-1',
          activeController: null,
          fenced: true,
          offlineDirectories: [],
        },
      })
      const register = controller.answers.get('registerBroker')!
      controller.answers.delete('registerBroker')
      waiting.findController()
      expect((await healthOf(waiting)).body).toMatchObject({ waitsFor: 'the metadata of the cluster' })
      const ready = waiting.letIn()
      await waiting.until('registerBroker')
      expect(await healthOf(waiting)).toMatchObject({
        status: 503,
        body: { waitsFor: 'controller 1 to register it', activeController: 1 },
      })
      const { heartbeat } = controller
      controller.heartbeat = () => undefined
      const asked = controller.take('registerBroker')
      asked.answer(register(asked.request as never))
      await idle()
      expect(await healthOf(waiting)).toMatchObject({
        status: 503,
        body: { waitsFor: 'controller 1 to let it serve' },
      })
      controller.heartbeat = heartbeat
      waiting.timers.advance(20)
      await ready
      const { status, body } = await healthOf(waiting)
      expect([status, body]).toEqual([200, expect.not.objectContaining({ waitsFor: expect.anything() })])
      expect(body).toMatchObject({ status: 'ok', fenced: false })
    }))

  it('gives at /metrics what there is, and whether it is ready', () =>
    WaitingBroker.run({}, async (waiting) => {
      const early = await metricsOf(waiting)
      expect(early).toMatch(/^millrace_ready 0$/m)
      expect(early).toMatch(/^kafka_server_kafkaserver_brokerstate 1$/m)
      expect(early).toMatch(/^nodejs_heap_size_used_bytes \d+$/m)
      expect(early).toContain('millrace_log_directory_usable_bytes{path="/data"}')
      expect(early).not.toMatch(/^kafka_server_raft_metrics_current_epoch \d/m)
      waiting.figures = {
        ...{ role: 'candidate', term: 7, leaderId: null, isActive: false, voterCount: 3, observerCount: 0 },
        ...{ commitIndex: 5, lastIndex: 6, appliedIndex: 5 },
      }
      const told = await metricsOf(waiting)
      expect(told).toMatch(/^kafka_server_raft_metrics_current_epoch 7$/m)
      expect(told).toMatch(/^kafka_server_raft_metrics_current_leader -1$/m)
      await waiting.letIn()
      expect(await metricsOf(waiting)).toMatch(/^millrace_ready 1$/m)
    }))

  it('goes on with a connection that it had before it was ready', () =>
    WaitingBroker.run({}, async (waiting) => {
      const probe = await ask(waiting.connect(), ...HEALTH)
      await waiting.letIn()
      probe.send(`${HEALTH.join('\r\n')}\r\n\r\n`)
      await until(() => probe.statuses.length === 2)
      expect(probe.statuses).toEqual([503, 200])
    }))

  it('answers a request that comes in two pieces, cut anywhere', () =>
    WaitingBroker.run({}, async (waiting) => {
      const text = `${HEALTH.join('\r\n')}\r\n\r\n`
      for (let cut = 1; cut < text.length; cut++) {
        const probe = new HttpProbe(waiting.connect())
        probe.send(text.slice(0, cut))
        await new Promise((resolve) => setImmediate(resolve))
        probe.send(text.slice(cut))
        await until(() => probe.text.endsWith('}'))
        expect(probe.statuses).toEqual([503])
        probe.socket.close()
      }
    }))

  it('holds hostile clients to the same limits as later', () =>
    WaitingBroker.run({ settings: { 'http.max.connections': '2' } }, async (waiting) => {
      expect((await ask(waiting.connect(), HEALTH[0]!, 'Host: evil.example', 'Connection: close')).statuses).toEqual([
        403,
      ])
      const large = await ask(waiting.connect(), ...HEALTH, `X: ${'x'.repeat(20_000)}`)
      expect(large.statuses).toEqual([431])
      await until(() => large.socket.isClosed)
      const slow = [new HttpProbe(waiting.connect()), new HttpProbe(waiting.connect())]
      for (const probe of slow) probe.send('GET /healthz HTTP/1.1\r\n')
      const third = new HttpProbe(waiting.connect())
      third.send('G')
      await until(() => third.socket.isClosed)
      waiting.timers.advance(9_900)
      await idle()
      expect(slow.map(({ socket }) => socket.isClosed)).toEqual([false, false])
      waiting.timers.advance(200)
      await until(() => slow.every(({ socket }) => socket.isClosed))
      expect((await healthOf(waiting)).status).toBe(503)
    }))
})

describe('a broker that waits, to Kafka clients', () => {
  it('answers what they have sent once it is ready, wherever the bytes were cut, in order', () =>
    WaitingBroker.run({}, async (waiting) => {
      const early: TestClient[] = []
      const late: { client: TestClient; rest: Buffer }[] = []
      for (let cut = 1; cut <= frame.length; cut++) {
        const whole = new TestClient(waiting.connect())
        whole.expectNothing()
        whole.socket.send(frame.subarray(0, cut))
        await new Promise((resolve) => setImmediate(resolve))
        whole.socket.send(Buffer.concat([frame.subarray(cut), frame]))
        early.push(whole)
        const part = new TestClient(waiting.connect())
        part.expectNothing()
        part.socket.send(frame.subarray(0, cut))
        late.push({ client: part, rest: frame.subarray(cut) })
      }
      await idle()
      expect([...early, ...late.map(({ client }) => client)].every(({ frames }) => frames.length === 0)).toBe(true)
      const broker = await waiting.letIn()
      for (const { client, rest } of late) if (rest.length > 0) client.socket.send(rest)
      await broker.idle()
      // Correlation id and error code; what follows them tells the metadata's newest version.
      const answer = '000000010000'
      for (const { frames } of early) expect(frames.map(beginningOf)).toEqual([answer, answer])
      for (const { client } of late) expect(client.frames.map(beginningOf)).toEqual([answer])
    }))

  it('serves one that connected before and speaks only afterwards', () =>
    WaitingBroker.run({}, async (waiting) => {
      const client = new TestClient(waiting.connect())
      await waiting.letIn()
      expect((await client.call(apiVersionsApi, 3, request)).errorCode).toBe(0)
    }))

  it('turns away at once what speaks neither Kafka nor HTTP', () =>
    WaitingBroker.run({}, async (waiting) => {
      for (const first of [0x16, 0x20, 0xff]) {
        const socket = waiting.connect()
        socket.send(Buffer.from([first, 3, 1]))
        await socket.closed
      }
      expect(await metricsOf(waiting)).toMatch(/^millrace_bad_requests_total\{kind="tls-on-plaintext"\} 1$/m)
    }))

  it('counts them among its connections as long as they stay', () =>
    WaitingBroker.run({ settings: { 'max.connections': '2' } }, async (waiting) => {
      const [gone, staying] = [waiting.connect(), waiting.connect()]
      for (const socket of [gone, staying]) socket.send(frame)
      await idle()
      const refused = waiting.connect()
      await refused.closed
      gone.close()
      await gone.closed
      const client = new TestClient(waiting.connect())
      const answer = client.call(apiVersionsApi, 3, request)
      await waiting.letIn()
      expect((await answer).errorCode).toBe(0)
      expect(staying.isClosed).toBe(false)
      for (const socket of [staying, client.socket]) socket.close()
      await idle()
      expect((await ask(waiting.connect(), ...HEALTH)).statuses).toEqual([200])
    }))

  it('lets them wait no longer than an idle connection may live', () =>
    WaitingBroker.run({ settings: { 'connections.max.idle.ms': '15000' } }, async (waiting) => {
      const [silent, begun, served] = [waiting.connect(), waiting.connect(), waiting.connect()]
      begun.send(frame)
      await idle()
      waiting.timers.advance(14_000)
      served.send(frame)
      await idle()
      expect([silent.isClosed, begun.isClosed]).toEqual([false, false])
      waiting.timers.advance(1_100)
      await Promise.all([silent.closed, begun.closed, served.closed])
      const last = waiting.connect()
      last.send(frame)
      await idle()
      const broker = await waiting.letIn()
      // What it was given before it was served ends nothing any more.
      waiting.timers.advance(14_900)
      last.send(frame)
      await broker.idle()
      waiting.timers.advance(10_000)
      await broker.idle()
      expect(last.isClosed).toBe(false)
    }))
})

describe('a broker that waits in vain', () => {
  it('ends its start, and every connection with it', async () => {
    let isEnded = false
    const run = WaitingBroker.run({}, async (waiting) => {
      const probe = await ask(waiting.connect(), ...HEALTH)
      const kafka = waiting.connect()
      kafka.send(frame)
      const silent = waiting.connect()
      await idle()
      waiting.timers.advance(60_000)
      waiting.controller.take('readBarrier').reject(new ControllerUnavailableError('nobody leads', false))
      await expect(waiting.started).rejects.toThrow(/no active controller was found within 60000 ms/)
      await Promise.all([probe.socket.closed, kafka.closed, silent.closed])
      expect(() => waiting.connect()).toThrow('nothing listens')
      isEnded = true
    })
    await expect(run).rejects.toThrow(/no active controller/)
    expect(isEnded).toBe(true)
  })
})
