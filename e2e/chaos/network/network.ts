import { createServer, type Server, type Socket } from 'node:net'
import { ProxiedConnection } from './connection.ts'
import { Link } from './link.ts'

/** Everybody who is no node. */
export const CLIENTS = 'clients'

/** Who opened an accepted connection: the name of a node, or {@link CLIENTS}. */
export type Identify = (accepted: Socket) => string

/**
 * All links between nodes, and between them and clients, by proxies: one in front of each port of a node. Needs no privileges. Links are
 * made when they are first asked for, whole.
 */
export class Network {
  readonly #identify: Identify
  readonly #links = new Map<string, Link>()
  readonly #connections = new Set<ProxiedConnection>()
  readonly #servers: Server[] = []

  constructor(identify: Identify) {
    this.#identify = identify
  }

  /** From now on `port` of a node is reached through the port in the answer. */
  async proxy(node: string, port: number): Promise<number> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (accepted) => {
      const from = this.#identify(accepted)
      const links = { there: this.link(from, node), back: this.link(node, from) }
      const connection = new ProxiedConnection(accepted, port, links, () => this.#connections.delete(connection))
      this.#connections.add(connection)
    })
    this.#servers.push(server)
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, '127.0.0.1', resolve)
    })
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('a proxy has no port')
    return address.port
  }

  link(from: string, to: string): Link {
    const name = `${from} → ${to}`
    let link = this.#links.get(name)
    if (link === undefined) {
      link = new Link(from, to)
      this.#links.set(name, link)
    }
    return link
  }

  /** Cuts both directions between two places. */
  cut(one: string, other: string): void {
    this.link(one, other).set({ isCut: true })
    this.link(other, one).set({ isCut: true })
  }

  healAll(): void {
    for (const link of this.#links.values()) link.heal()
  }

  /** Open connections between two places, whoever opened them. */
  connectionsBetween(one: string, other: string): ProxiedConnection[] {
    return [...this.#connections].filter(({ links: { there } }) =>
      [`${one} ${other}`, `${other} ${one}`].includes(`${there.from} ${there.to}`),
    )
  }

  get connectionCount(): number {
    return this.#connections.size
  }

  async close(): Promise<void> {
    for (const connection of [...this.#connections]) connection.reset()
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))))
  }
}
