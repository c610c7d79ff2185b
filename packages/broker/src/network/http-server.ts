import { createServer, type Server } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { type HttpAccessRules, refuseHttpRequest } from './http-access.ts'
import { HttpStream } from './http-stream.ts'
import type { Transport } from './transport.ts'

const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
const MAX_HEADER_BYTES = 16 * 1024
const MAX_BODY_BYTES = 1024 * 1024

export interface HttpServerOptions {
  rules: HttpAccessRules
  /** Prometheus text and its content type. */
  metrics(): Promise<{ contentType: string; body: string }>
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

  constructor(options: HttpServerOptions) {
    this.#options = options
  }

  /** Takes over a connection; the returned stream gets its bytes, those already read included. `onClosed` is called once. */
  accept(transport: Transport, onClosed: () => void): HttpStream {
    const stream = new HttpStream(transport)
    stream.once('close', onClosed)
    // Errors of a client's connection end that connection and nothing else.
    stream.on('error', () => stream.destroy())
    this.#starting ??= this.#start()
    this.#starting.then(
      (server) => server.emit('connection', stream),
      (error: unknown) => stream.destroy(error instanceof Error ? error : new Error(String(error))),
    )
    return stream
  }

  async close(): Promise<void> {
    if (this.#starting === null) return
    const server = await this.#starting.catch(() => null)
    server?.closeAllConnections()
    await this.#app?.close()
  }

  async #start(): Promise<Server> {
    // A CommonJS package: bundled, it has its default export only.
    const { default: fastify } = await import('fastify')
    const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES })
    const app = fastify({
      bodyLimit: MAX_BODY_BYTES,
      serverFactory: (handler) => {
        server.on('request', handler)
        server.headersTimeout = HEADERS_TIMEOUT_MS
        server.requestTimeout = REQUEST_TIMEOUT_MS
        return server
      },
    })
    this.#app = app
    app.addHook('onRequest', async (request, reply) => {
      const refusal = refuseHttpRequest(this.#options.rules, request.headers.host, request.headers.origin)
      if (refusal !== null) await reply.code(403).send({ error: refusal })
    })
    app.get('/metrics', async (_request, reply) => {
      const { contentType, body } = await this.#options.metrics()
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
