import type { AclBinding } from '@millrace/consensus'
import { aclInWords } from '../authorization/acl-words.ts'
import type { Logger } from '../logger.ts'
import type { ConnectionContext } from './handler.ts'

/** Of a larger change only so many are told one by one. */
const MAX_TOLD = 20

/** Tells who changed the rules, for whoever looks later into what was allowed when. Texts come from clients: no name is told whole if it is long. */
export function logAclChange(
  logger: Logger,
  message: string,
  { principal, clientAddress }: ConnectionContext,
  acls: readonly AclBinding[],
): void {
  if (acls.length === 0) return
  const told = acls.slice(0, MAX_TOLD).map(aclInWords)
  logger.info(message, { by: principal, clientAddress, count: acls.length, acls: told })
}
