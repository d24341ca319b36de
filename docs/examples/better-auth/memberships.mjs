// Better Auth: keeps in Redis who is a member of which organization, and whether he is
// banned, for the gateway to read. `memberships:<user id>` holds
// {"banned": false, "tenants": {"<organization id>": {"name", "role"}}}.
import { createAuthMiddleware } from "better-auth/api";

/**
 * Use it in two places:
 *
 *     const memberships = membershipsIn(redis); // an ioredis client
 *     betterAuth({
 *       plugins: [
 *         organization({ organizationHooks: memberships.organizationHooks }),
 *         memberships.plugin,
 *       ],
 *     });
 *
 * What changes users or members past Better Auth's API calls `memberships.publish(userId)`.
 */
export function membershipsIn(redis) {
  let database;
  const record = (userId) => `memberships:${userId}`;
  const turn = (userId) => `memberships-turn:${userId}`;

  /** Read from the database what the gateway is to know of a user; write it to Redis. */
  async function publish(userId) {
    const mine = await redis.incr(turn(userId));
    const user = await database.findOne({
      model: "user",
      where: [{ field: "id", value: userId }],
    });
    const members = await database.findMany({
      model: "member",
      where: [{ field: "userId", value: userId }],
    });
    const tenants = {};
    for (const { organizationId, role } of members) {
      const found = await database.findOne({
        model: "organization",
        where: [{ field: "id", value: organizationId }],
      });
      if (found) tenants[organizationId] = { name: found.name, role };
    }
    // Whoever began later read later: what was read before a removal is not written after.
    const written = JSON.stringify({ banned: user?.banned ?? !user, tenants });
    await redis.eval(IF_IT_IS_OUR_TURN, 2, turn(userId), record(userId), mine, written);
  }

  /** Take back what was published, until it is published again. */
  async function withdraw(userId) {
    await redis.multi().incr(turn(userId)).del(record(userId)).exec();
  }

  async function membersOf(organizationId) {
    const members = await database.findMany({
      model: "member",
      where: [{ field: "organizationId", value: organizationId }],
    });
    return members.map((member) => member.userId);
  }

  const ended = new Map(); // organization id -> who were its members

  return {
    publish,
    // Before something is taken away, Redis forgets: if the process ends in between, the
    // member has no tenant, and not one that is no longer his.
    organizationHooks: {
      afterAddMember: ({ member }) => publish(member.userId),
      afterAcceptInvitation: ({ member }) => publish(member.userId),
      beforeUpdateMemberRole: ({ member }) => withdraw(member.userId),
      afterUpdateMemberRole: ({ member }) => publish(member.userId),
      beforeRemoveMember: ({ member }) => withdraw(member.userId),
      afterRemoveMember: ({ member }) => publish(member.userId),
      async afterUpdateOrganization({ organization }) {
        if (!organization) return;
        for (const userId of await membersOf(organization.id)) await publish(userId);
      },
      async beforeDeleteOrganization({ organization }) {
        const members = await membersOf(organization.id);
        ended.set(organization.id, members);
        for (const userId of members) await withdraw(userId);
      },
      async afterDeleteOrganization({ organization }) {
        for (const userId of ended.get(organization.id) ?? []) await publish(userId);
        ended.delete(organization.id);
      },
    },
    plugin: {
      id: "memberships-in-redis",
      init(context) {
        database = context.adapter;
        const ofUser = { after: ({ id }) => publish(id) };
        // With every sign-in, so that members from before are there, too.
        const ofSession = { after: ({ userId }) => publish(userId) };
        const databaseHooks = {
          user: { update: ofUser, delete: ofUser },
          session: { create: ofSession },
        };
        return { options: { databaseHooks } };
      },
      hooks: {
        after: [
          {
            // The one change of membership that calls none of the hooks above.
            matcher: ({ path }) => path === "/organization/leave",
            handler: createAuthMiddleware(async ({ context }) => {
              if (context.returned?.userId) await publish(context.returned.userId);
            }),
          },
        ],
      },
    },
  };
}

const IF_IT_IS_OUR_TURN = `
if redis.call("GET", KEYS[1]) == ARGV[1] then
  redis.call("SET", KEYS[2], ARGV[2])
end
`;
