-- Which of these entries are in the chain. A statement of its own, after the head is held: its snapshot shows
-- everything that was appended before.
SELECT id FROM audit_entry WHERE id = ANY(%(ids)s::uuid[])
