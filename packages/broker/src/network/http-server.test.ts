import { describe, expect, it } from 'vitest'
import { ask, HOST, HttpProbe, until } from '../testing/http-probe.ts'
import { TestBroker } from '../testing/test-broker.ts'

describe('HTTP on the broker’s port', () => {
  it('tells health and metrics', async () => {
    await TestBroker.run({}, async (_client, broker) => {
      const health = await ask(broker.openSocket(), 'GET /healthz HTTP/1.1', HOST)
      expect(health.statuses).toEqual([200])
      expect(health.text).toContain('"status":"ok"')
      const metrics = await ask(broker.openSocket(), 'GET /metrics HTTP/1.1', HOST)
      expect(metrics.statuses).toEqual([200])
      expect((await ask(broker.openSocket(), 'GET /absent HTTP/1.1', HOST)).statuses).toEqual([404])
      expect((await ask(broker.openSocket(), 'DELETE /healthz HTTP/1.1', HOST)).statuses).toEqual([404])
    })
  })

  it.each([
    ['no host', ['GET /metrics HTTP/1.1'], 400],
    ['no host in HTTP 1.0', ['GET /metrics HTTP/1.0'], 403],
    ['a rebound name', ['GET /metrics HTTP/1.1', 'Host: evil.example'], 403],
    ['a name that only begins well', ['GET /metrics HTTP/1.1', 'Host: localhost.evil.example'], 403],
    ['two hosts', ['GET /metrics HTTP/1.1', HOST, 'Host: evil.example'], 400],
    ['a foreign page', ['GET /metrics HTTP/1.1', HOST, 'Origin: https://evil.example'], 403],
    ['a page of another port', ['GET /metrics HTTP/1.1', HOST, 'Origin: http://localhost:3000'], 403],
    ['a page of no origin', ['GET /metrics HTTP/1.1', HOST, 'Origin: null'], 403],
    ['an absent path, from a foreign page', ['GET /absent HTTP/1.1', HOST, 'Origin: http://evil.example'], 403],
    ['its own page', ['GET /metrics HTTP/1.1', HOST, 'Origin: http://localhost:9092'], 200],
    ['an address', ['GET /metrics HTTP/1.1', 'Host: [::1]:9092'], 200],
  ])('answers a request with %s', async (_name, lines, status) => {
    await TestBroker.run({}, async (_client, broker) => {
      expect((await ask(broker.openSocket(), ...lines)).statuses).toEqual([status])
    })
  })

  it.each([
    [
      'both lengths',
      [
        'POST /metrics HTTP/1.1',
        HOST,
        'Content-Length: 5',
        'Transfer-Encoding: chunked',
        '',
        '0',
        '',
        'GET /healthz HTTP/1.1',
        HOST,
      ],
    ],
    [
      'two lengths',
      ['POST /metrics HTTP/1.1', HOST, 'Content-Length: 5', 'Content-Length: 6', '', 'GET /healthz HTTP/1.1', HOST],
    ],
    [
      'a length that is none',
      ['POST /metrics HTTP/1.1', HOST, 'Content-Length: +5', '', 'GET /healthz HTTP/1.1', HOST],
    ],
    [
      'a space before the colon',
      ['GET /metrics HTTP/1.1', HOST, 'Transfer-Encoding : chunked', '', 'GET /healthz HTTP/1.1', HOST],
    ],
    ['a folded header', ['GET /metrics HTTP/1.1', HOST, 'Content-Length:', ' 5', '', 'GET /healthz HTTP/1.1', HOST]],
    [
      'a bad chunk',
      ['POST /metrics HTTP/1.1', HOST, 'Transfer-Encoding: chunked', '', 'xyz', 'GET /healthz HTTP/1.1', HOST],
    ],
  ])('lets nothing be smuggled by %s', async (_name, lines) => {
    await TestBroker.run({}, async (_client, broker) => {
      const probe = await ask(broker.openSocket(), ...lines)
      await until(() => probe.socket.isClosed)
      // At most the first request was answered, and not what hides behind it.
      expect(probe.text).not.toContain('"status"')
    })
  })

  it('answers requests that were sent ahead, in order', async () => {
    await TestBroker.run({}, async (_client, broker) => {
      const probe = new HttpProbe(broker.openSocket())
      const request = (path: string) => `GET ${path} HTTP/1.1\r\n${HOST}\r\n\r\n`
      probe.send(request('/healthz') + request('/absent') + request('/healthz'))
      await until(() => probe.statuses.length === 3)
      expect(probe.statuses).toEqual([200, 404, 200])
    })
  })

  it('closes a connection whose client does not take its answer', async () => {
    await TestBroker.run({}, async (_client, broker) => {
      const probe = new HttpProbe(broker.openSocket())
      probe.socket.stopReading()
      probe.send(`GET /healthz HTTP/1.1\r\n${HOST}\r\n\r\n`)
      await until(() => probe.socket.unreadBytes > 0)
      await broker.advance(29_000)
      expect(probe.socket.isClosed).toBe(false)
      await broker.advance(2000)
      expect(probe.socket.isClosed).toBe(true)
    })
  })

  it('refuses headers and bodies that are too large', async () => {
    await TestBroker.run({}, async (_client, broker) => {
      expect(
        (await ask(broker.openSocket(), 'GET /metrics HTTP/1.1', HOST, `X: ${'x'.repeat(20_000)}`)).statuses,
      ).toEqual([431])
      const body = ['POST /metrics HTTP/1.1', HOST, 'Content-Type: application/json', 'Content-Length: 99999999']
      expect((await ask(broker.openSocket(), ...body)).statuses[0]).toBeGreaterThanOrEqual(400)
    })
  })

  it('closes connections that do not ask, ask slowly or have nothing more to ask', async () => {
    await TestBroker.run({}, async (_client, broker) => {
      const silent = new HttpProbe(broker.openSocket())
      silent.send('G')
      const slow = new HttpProbe(broker.openSocket())
      slow.send('GET /healthz HTTP/1.1\r\n')
      const done = await ask(broker.openSocket(), 'GET /healthz HTTP/1.1', HOST)
      for (let second = 0; second < 9; second++) {
        await broker.advance(1000)
        slow.send(`X-${second}: 1\r\n`)
      }
      expect([silent.socket.isClosed, slow.socket.isClosed, done.socket.isClosed]).toEqual([false, false, false])
      await broker.advance(1100)
      expect([silent.socket.isClosed, slow.socket.isClosed, done.socket.isClosed]).toEqual([true, true, true])
    })
  })

  it('closes a connection whose body does not come', async () => {
    await TestBroker.run({}, async (_client, broker) => {
      const probe = new HttpProbe(broker.openSocket())
      probe.send(`POST /healthz HTTP/1.1\r\n${HOST}\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nabc`)
      await broker.idle()
      await broker.advance(41_000)
      expect(probe.socket.isClosed).toBe(true)
    })
  })

  it('gives its connections back', async () => {
    await TestBroker.run({ settings: { 'max.connections.per.ip': '3' } }, async (client, broker) => {
      for (let n = 0; n < 10; n++) {
        const probe = await ask(broker.openSocket(), 'GET /healthz HTTP/1.1', HOST, 'Connection: close')
        expect(probe.statuses).toEqual([200])
        await until(() => probe.socket.isClosed)
      }
      const dropped = new HttpProbe(broker.openSocket())
      dropped.send('GET /healthz HTTP')
      dropped.socket.close()
      await broker.idle()
      const last = [broker.openSocket(), broker.openSocket()]
      await broker.idle()
      expect(last.map((socket) => socket.isClosed)).toEqual([false, false])
      const refused = broker.openSocket()
      await broker.idle()
      expect(refused.isClosed).toBe(true)
      client.close()
    })
  })
})
