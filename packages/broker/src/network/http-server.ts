import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Clock, Timers } from '@millrace/base'
import type { FastifyInstance } from 'fastify'
import { type HttpAccessRules, refuseHttpRequest } from './http-access.ts'
import { HttpDeadlines } from './http-deadlines.ts'
import { HttpStream } from './http-stream.ts'
import { type Scrape, Scrapes } from './scrapes.ts'
import type { Transport } from './transport.ts'

const MAX_HEADER_BYTES = 16 * 1024
/** No route takes a body. */
const MAX_BODY_BYTES = 16 * 1024

export interface HttpServerOptions {
  rules: HttpAccessRules
  clock: Clock
  timers: Timers
  /** Prometheus text and its content type. */
  metrics(): Promise<Scrape>
  /** Whether the broker serves; the body says what it is. */
  health(): { healthy: boolean; body: Record<string, unknown> }
}

/**
 * HTTP on the broker's port. It never listens itself: connections come from the listener once their first byte showed a verb.
 * Fastify is loaded with the first of them, since a broker that nobody asks should not pay for it at start.
 */
export class HttpServer {
  readonly #options: HttpServerOptions
  #starting: Promise<Server> | null = null
  #app: FastifyInstance | null = null
  readonly #deadlines = new WeakMap<object, HttpDeadlines>()
  readonly #scrapes: Scrapes

  constructor(options: HttpServerOptions) {
    this.#options = options
    this.#scrapes = new Scrapes(options.clock, () => options.metrics())
  }

  /** Takes over a connection; the returned stream gets its bytes, those already read included. `onClosed` is called once. */
  accept(transport: Transport, onClosed: () => void): HttpStream {
    const stream = new HttpStream(transport)
    stream.once('close', onClosed)
    // Errors of a client's connection end that connection and nothing else.
    stream.on('error', () => stream.destroy())
    this.#deadlines.set(stream, new HttpDeadlines(this.#options.timers, stream))
    this.#starting ??= this.#start()
    this.#starting.then(
      (server) => server.emit('connection', stream),
      (error: unknown) => stream.destroy(error instanceof Error ? error : new Error(String(error))),
    )
    return stream
  }

  /** What the first connection would load and make, in steps that take some ten milliseconds each. */
  preloadSteps(): (() => Promise<unknown>)[] {
    return [
      () => import('fastify'),
      () => {
        this.#starting ??= this.#start()
        return this.#starting
      },
    ]
  }

  /** The connections are the listener's to close. */
  async close(): Promise<void> {
    if (this.#starting === null) return
    await this.#starting.catch(() => null)
    await this.#app?.close()
  }

  #watch(request: IncomingMessage, response: ServerResponse): void {
    const deadlines = this.#deadlines.get(request.socket)
    if (deadlines === undefined) return
    deadlines.onRequest()
    response.once('close', () => deadlines.onAnswered())
  }

  async #start(): Promise<Server> {
    // A CommonJS package: bundled, it has its default export only.
    const { default: fastify } = await import('fastify')
    // Importing it would read all that it exports, and bring Node's fetch along: a quarter of the start-up time.
    const { createServer } = process.getBuiltinModule('node:http')
    const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES })
    const app = fastify({
      bodyLimit: MAX_BODY_BYTES,
      serverFactory: (handler) => {
        server.on('request', (request, response) => this.#watch(request, response))
        server.on('request', handler)
        return server
      },
    })
    this.#app = app
    app.addHook('onRequest', async (request, reply) => {
      // Whoever stands between may have gone by the other one.
      const { host: hosts = [] } = request.raw.headersDistinct
      if (hosts.length > 1) {
        await reply.code(400).send({ error: 'the request has several Host headers' })
        return
      }
      const refusal = refuseHttpRequest(this.#options.rules, request.headers.host, request.headers.origin)
      if (refusal !== null) await reply.code(403).send({ error: refusal })
    })
    app.get('/metrics', async (_request, reply) => {
      const { contentType, body } = await this.#scrapes.take()
      return reply.type(contentType).send(body)
    })
    app.get('/healthz', async (_request, reply) => {
      const { healthy, body } = this.#options.health()
      return reply.code(healthy ? 200 : 503).send(body)
    })
    await app.ready()
    return server
  }
}
