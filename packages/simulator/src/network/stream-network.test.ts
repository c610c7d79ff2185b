import { describe, expect, it } from 'vitest'
import { ProcessLoop } from '../world/process-loop.ts'
import { World } from '../world/world.ts'
import type { SimulatedStream, StreamUser } from './simulated-stream.ts'
import { StreamNetwork } from './stream-network.ts'

class Recorder implements StreamUser {
  readonly heard: string[] = []
  onOpen(): void {
    this.heard.push('open')
  }
  onData(chunk: Buffer): void {
    this.heard.push(chunk.toString())
  }
  onDrain(): void {
    this.heard.push('drain')
  }
  onClose(why: string | null): void {
    this.heard.push(`closed: ${why}`)
  }
}

/** A process that listens at `server:1` and one that is connected to it. */
function connected(cutLoss = 0) {
  const world = new World(3)
  const network = new StreamNetwork(world, { meanDelayMs: 2, cutLoss, silenceMs: 100 })
  const server = new ProcessLoop(world, 0)
  const client = new ProcessLoop(world, 1)
  const atServer = new Recorder()
  const atClient = new Recorder()
  const far: { stream: SimulatedStream | null } = { stream: null }
  network.listen(server, 'server:1', (stream) => {
    far.stream = stream
    return atServer
  })
  const near = network.connect(client, 'server:1', atClient)
  const pass = (durationMs: number) => {
    const endMs = world.nowMs + durationMs
    while (world.nextMs <= endMs) world.step()
    world.schedule(endMs - world.nowMs, 'end', -1, () => undefined)
    world.step()
  }
  pass(20)
  return { network, server, client, atServer, atClient, near, far: far.stream!, pass }
}

describe('StreamNetwork', () => {
  it('brings bytes in order, each once, both ways', () => {
    const { near, far, atServer, atClient, pass } = connected()
    for (let number = 0; number < 50; number++) near.write(Buffer.from(String(number)))
    far.write(Buffer.from('hello'))
    pass(100)
    expect(atServer.heard).toEqual(['open', ...Array.from({ length: 50 }, (_, number) => String(number))])
    expect(atClient.heard).toEqual(['open', 'hello'])
  })

  it('holds bytes back behind a cut link and brings them when it heals', () => {
    const { network, near, atServer, pass } = connected()
    network.cut(1, 0)
    near.write(Buffer.from('a'))
    near.write(Buffer.from('b'))
    pass(1_000)
    expect(atServer.heard).toEqual(['open'])
    network.heal(1, 0)
    near.write(Buffer.from('c'))
    pass(100)
    expect(atServer.heard).toEqual(['open', 'a', 'b', 'c'])
  })

  it('lets a connection die of a cut: what was under way is gone, and both sides hear of it by the silence', () => {
    const { network, near, atServer, atClient, pass } = connected(1)
    near.write(Buffer.from('lost'))
    network.cut(1, 0)
    network.heal(1, 0)
    near.write(Buffer.from('lost too'))
    pass(1_000)
    expect(atServer.heard).toEqual(['open', 'closed: silent'])
    expect(atClient.heard).toEqual(['open', 'closed: silent'])
  })

  it('tells a peer of a process that ended, and refuses those who come afterwards', () => {
    const { network, server, client, atClient, pass } = connected()
    server.end()
    network.onProcessEnded(server)
    pass(100)
    expect(atClient.heard).toEqual(['open', 'closed: closed'])
    const again = new Recorder()
    network.connect(client, 'server:1', again)
    pass(100)
    expect(again.heard).toEqual(['closed: refused'])
  })

  it('keeps what arrives for a user who does not read', () => {
    const { near, far, atServer, pass } = connected()
    far.pauseReading()
    near.write(Buffer.from('a'))
    near.wantsDrain = true
    near.write(Buffer.from('b'))
    pass(50)
    expect(atServer.heard).toEqual(['open'])
    far.resumeReading()
    pass(50)
    expect(atServer.heard).toEqual(['open', 'a', 'b'])
  })
})
