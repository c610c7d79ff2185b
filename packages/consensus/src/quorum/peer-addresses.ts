import type { RaftStatus, VoterSet } from '../raft/types.ts'
import type { QuorumNodeOptions } from './quorum-options.ts'

/** Keeps the transport connected to those whom the log names, and, at a node that does not vote, to where it was told to ask. */
export class PeerAddresses {
  readonly #options: Pick<QuorumNodeOptions, 'self' | 'bootstrapEndpoints' | 'transport'>
  #voters: VoterSet | null = null
  #contacts: VoterSet | null = null

  constructor(options: Pick<QuorumNodeOptions, 'self' | 'bootstrapEndpoints' | 'transport'>) {
    this.#options = options
  }

  /** Whether the transport has been told of anybody. */
  get isSet(): boolean {
    return this.#voters !== null
  }

  follow({ voters, contacts }: RaftStatus): void {
    if (voters === this.#voters && contacts === this.#contacts) return
    this.#voters = voters
    this.#contacts = contacts
    const { self, bootstrapEndpoints, transport } = this.#options
    const isVoter = voters.some(({ id, directoryId }) => id === self.id && directoryId === self.directoryId)
    const peers = new Map(isVoter ? [] : bootstrapEndpoints)
    // What others told of comes first: what the own log says of a node replaces it.
    for (const { id, host, port } of [...contacts, ...voters]) peers.set(id, { host, port })
    peers.delete(self.id)
    transport.setPeers(peers)
  }
}
