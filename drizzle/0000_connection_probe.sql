CREATE TABLE "connection_probe" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"run_id" uuid NOT NULL,
	"sequence" bigint NOT NULL,
	"origin" text NOT NULL,
	"written_by" text DEFAULT current_user NOT NULL,
	"payload" jsonb NOT NULL,
	"written_at" timestamp with time zone DEFAULT now() NOT NULL
);
