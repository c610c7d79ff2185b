import type { Clock } from '@millrace/base'
import type { AclImage } from '@millrace/consensus'
import type { BrokerConfig } from '../config/broker-config.ts'
import { parsePrincipals } from '../config/checks.ts'
import type { Logger } from '../logger.ts'
import { Authorizer } from './authorizer.ts'

/** The authorizer that the settings ask for; null: none, and everybody may do everything. */
export function createAuthorizer(
  { authorizerClassName, superUsers, allowEveryoneIfNoAclFound }: BrokerConfig,
  acls: () => ReadonlyMap<unknown, AclImage>,
  clock: Clock,
  logger: Logger,
): Authorizer | null {
  if (authorizerClassName === '') return null
  const principals = new Set(parsePrincipals(superUsers))
  return new Authorizer({ acls, superUsers: principals, allowEveryoneIfNoAclFound, clock, logger })
}
