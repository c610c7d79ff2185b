import type { Clock } from '@millrace/base'
import { type AclImage, CLUSTER_RESOURCE_NAME } from '@millrace/consensus'
import { canonicalAddress } from '../config/canonical-address.ts'
import type { ConnectionContext } from '../handlers/handler.ts'
import type { Logger } from '../logger.ts'
import { OPERATIONS_OF } from '../metadata/authorized-operations.ts'
import { type Decisions, EVERY_OPERATION } from './decisions.ts'
import { DenialLog } from './denial-log.ts'
import type { Need } from './needs.ts'
import { RuleSet } from './rule-set.ts'

/** Totals since the start, and the rules there are. */
export interface AuthorizerFigures {
  readonly allowed: number
  readonly denied: number
  readonly rules: number
}

export interface AuthorizerOptions {
  /** The rules of the newest metadata; another map once they changed. */
  acls(): ReadonlyMap<unknown, AclImage>
  /** `super.users`: may do everything, whatever the rules say. */
  readonly superUsers: ReadonlySet<string>
  /** `allow.everyone.if.no.acl.found`: what no rule is about anybody may do. */
  readonly allowEveryoneIfNoAclFound: boolean
  readonly clock: Clock
  readonly logger: Logger
}

/** Decides who may do what, by the ACLs of the metadata. One for a broker; there is none where everybody may do everything. */
export class Authorizer {
  readonly #options: AuthorizerOptions
  readonly #accesses = new WeakMap<ConnectionContext, Access>()
  readonly #denials: DenialLog
  #rules: RuleSet
  #allowedCount = 0
  #deniedCount = 0

  constructor(options: AuthorizerOptions) {
    this.#options = options
    this.#denials = new DenialLog(options.clock, options.logger)
    this.#rules = this.#compile()
  }

  /** What the peer of a connection may do. The object belongs to the connection, and follows the rules as they change. Hot path. */
  accessOf(connection: ConnectionContext): Access {
    let access = this.#accesses.get(connection)
    if (access === undefined) {
      access = new Access(this, connection)
      this.#accesses.set(connection, access)
    }
    return access
  }

  /** Made of the newest metadata. A change of the rules is looked for here, so that many at once cost what one does. */
  get rules(): RuleSet {
    if (this.#rules.acls !== this.#options.acls()) {
      this.#rules.forget()
      this.#rules = this.#compile()
    }
    return this.#rules
  }

  /** For metrics. What filters leave out is in neither count. */
  figures(): AuthorizerFigures {
    return { allowed: this.#allowedCount, denied: this.#deniedCount, rules: this.#options.acls().size }
  }

  /**
   * Whether no rule is asked. A broker of this cluster, which has proved that it is one (`docs/adr/0006`), holds what there is to read
   * anyway: clusters of Kafka name their brokers among the super users.
   */
  isSuper({ principal, brokerId }: ConnectionContext): boolean {
    return brokerId >= 0 || this.#options.superUsers.has(principal)
  }

  onAllowed(): void {
    this.#allowedCount++
  }

  onDenied(connection: ConnectionContext, need: Need, name: string): void {
    this.#deniedCount++
    this.#denials.tell(connection, need, name)
  }

  #compile(): RuleSet {
    return new RuleSet(this.#options.acls(), this.#options.allowEveryoneIfNoAclFound)
  }
}

/** What the peer of one connection may do. */
export class Access {
  readonly #authorizer: Authorizer
  readonly #connection: ConnectionContext
  readonly #host: string
  #decisions: Decisions | null = null

  constructor(authorizer: Authorizer, connection: ConnectionContext) {
    this.#authorizer = authorizer
    this.#connection = connection
    this.#host = canonicalAddress(connection.clientAddress) ?? connection.clientAddress
  }

  /** Whether it may do this with the resource of that name. A refusal is counted and, now and then, logged. Hot path. */
  allows(need: Need, name: string): boolean {
    const isAllowed = this.sees(need, name)
    if (isAllowed) this.#authorizer.onAllowed()
    else this.#authorizer.onDenied(this.#connection, need, name)
    return isAllowed
  }

  /** As {@link allows}, of the cluster. */
  allowsCluster(need: Need): boolean {
    return this.allows(need, CLUSTER_RESOURCE_NAME)
  }

  /** As {@link sees}, for filters: what is let through is counted. */
  passes(need: Need, name: string): boolean {
    const isAllowed = this.sees(need, name)
    if (isAllowed) this.#authorizer.onAllowed()
    return isAllowed
  }

  /** As {@link allows}, without a word: for what another permission may still allow. */
  sees(need: Need, name: string): boolean {
    return (this.#operationsOn(need.resourceType, name) & (1 << need.operation)) !== 0
  }

  /** As {@link sees}, of the cluster. */
  seesCluster(need: Need): boolean {
    return this.sees(need, CLUSTER_RESOURCE_NAME)
  }

  /** Whether there is any resource of the type at all that it may do this with. */
  allowsAny(need: Need): boolean {
    const isAllowed =
      this.#authorizer.isSuper(this.#connection) || this.#current().isAllowedOnAny(need.operation, need.resourceType)
    if (isAllowed) this.#authorizer.onAllowed()
    else this.#authorizer.onDenied(this.#connection, need, '*')
    return isAllowed
  }

  /** Bit field of the operations that answers tell as authorized, of topics, groups and the cluster. */
  authorizedOperations(resourceType: number, name: string): number {
    return this.#operationsOn(resourceType, name) & OPERATIONS_OF[resourceType]!
  }

  #operationsOn(resourceType: number, name: string): number {
    if (this.#authorizer.isSuper(this.#connection)) return EVERY_OPERATION
    return this.#current().operationsOn(resourceType, name)
  }

  #current(): Decisions {
    const { rules } = this.#authorizer
    if (this.#decisions === null || this.#decisions.isForgotten || rules.isFull) {
      this.#decisions = rules.decisionsFor(this.#connection.principal, this.#host)
    }
    return this.#decisions
  }
}
